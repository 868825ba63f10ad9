import type { Attributes } from '../proto.js';

/** The name of the kernel that computes a node of ONNX as it is; see `node.ts`. */
export const ONNX_NODE = 'OnnxNode';

/**
 * An input of such a node: an image, which it reads in NCHW; a tensor as it is; numbers; or, where an optional input is
 * left out, none.
 */
export type RawInput =
  | 'image'
  | 'plain'
  | null
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] };

export interface OnnxNodeAttrs {
  /** An operator of ONNX, version 18. */
  readonly opType: string;
  readonly attributes: Attributes;
  readonly inputs: readonly RawInput[];
  /** Of the output, in TensorFlow.js's order. */
  readonly shape: readonly number[];
  /** Whether each number of the output depends on the same one of its images alone, in whatever order they lie. */
  readonly isElementwise?: boolean;
  /** Whether images are read as they are in TensorFlow.js, channels last, and the output is so, too. */
  readonly isChannelsLast?: boolean;
}
