import type * as tf from '@tensorflow/tfjs-core';
import type { OnnxBackend } from '../backend.js';

/** What a kernel is called with; `attrs` and `inputs` are those of TensorFlow.js's kernel of that name. */
export interface KernelCall<I, A> {
  readonly inputs: I;
  readonly attrs: A;
  readonly backend: OnnxBackend;
}

/** A TensorFlow.js kernel that records what it is asked for. */
export interface Kernel {
  readonly name: string;
  readonly run: (call: KernelCall<never, never>) => tf.TensorInfo | tf.TensorInfo[];
}

/** Types a kernel's inputs and attributes, which TensorFlow.js hands over as loose maps. */
export function kernel<I extends object, A extends object = object>(
  name: string,
  run: (call: KernelCall<I, A>) => tf.TensorInfo | tf.TensorInfo[],
): Kernel {
  return { name, run };
}

export interface Unary {
  readonly x: tf.TensorInfo;
}
export interface Binary {
  readonly a: tf.TensorInfo;
  readonly b: tf.TensorInfo;
}
