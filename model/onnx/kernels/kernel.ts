import type * as tf from '@tensorflow/tfjs-core';
import type { OnnxBackend } from '../backend.js';

/** What TensorFlow.js calls a kernel with. */
export interface KernelCall<I, A> {
  readonly inputs: I;
  readonly attrs: A;
  readonly backend: OnnxBackend;
}

/** Input tensors of a kernel, by TensorFlow.js's names. */
export type Tensors<Name extends string = string> = Readonly<Record<Name, tf.TensorInfo>>;

/** One of TensorFlow.js's kernels; running it records operators and computes nothing. */
export interface Kernel {
  readonly name: string;
  readonly run: (call: KernelCall<never, never>) => tf.TensorInfo | tf.TensorInfo[];
}

/**
 * Declares a kernel. TensorFlow.js calls it with loose maps; this is where they get their types.
 *
 * @typeParam I its inputs, such as `Tensors<'x' | 'filter'>`
 * @typeParam A its attributes, by TensorFlow.js's own declaration, such as `tf.Conv2DAttrs`
 * @param name that of the kernel in TensorFlow.js's `kernel_names`
 */
export function kernel<I extends object, A extends object = object>(
  name: string,
  run: (call: KernelCall<I, A>) => tf.TensorInfo | tf.TensorInfo[],
): Kernel {
  return { name, run };
}
