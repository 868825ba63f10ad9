import type * as tf from '@tensorflow/tfjs-core';
import type { GraphPrecision } from './devices/device.js';
import type { OnnxBackend } from './onnx/backend.js';

/** Values of one input of a recorded computation. */
export interface ComputationInput {
  readonly values: Float32Array | Int32Array | Uint8Array;
  /**
   * Of a frozen network's images, whose number and size are free, with the channels that it was recorded with. Default:
   * the shape that it was recorded with.
   */
  readonly shape?: readonly number[];
}

/** A computation that runs with the values that are given to each run. */
export interface Computation {
  /**
   * Computes the values of the outputs, in the order of TensorFlow.js. Booleans are bytes.
   * @param targets arrays that outputs are written to and that take their places in the result; null, or none, for a new
   * one. Outputs that have them are floats of the recorded shape
   */
  run(
    inputs: readonly ComputationInput[],
    targets?: readonly (Float32Array | null)[],
  ): Promise<(Float32Array | Int32Array | Uint8Array)[]>;
  /** Releases what a number of threads keeps for it; a later run acquires it anew. */
  release(threads: number): Promise<void>;
}

/** What is of bytes in a computation. */
export interface ByteTensors {
  /** The first input, which `compute` casts. */
  readonly isInput: boolean;
  /** The output, if it is of integers, which are from 0 to 255. */
  readonly isOutput: boolean;
}

/** What bits depend on besides the processor and the versions. */
export interface RuntimeFacts {
  /** The kind of device, as the runtime names it, such as `cpu`. */
  readonly provider: string;
  /** Channels in a block of the convolutions; null where the runtime has no blocks. */
  readonly channelBlock: number | null;
  /** TensorFlow's version; null where it does not run the networks. */
  readonly tensorflow: string | null;
}

/**
 * What runs the networks of a lane: the backend that this thread's TensorFlow.js has selected. Layers, losses and heads
 * are the same for all of them.
 */
export interface Runtime {
  /** Threads of what runs from now on. A runtime that cannot divide them uses those that it was started with. */
  threads: number;
  /** @throws where the device does not compute, with the reason as the runtime states it */
  facts(): Promise<RuntimeFacts>;
  /** Declares that tensors do not change any more until they are disposed of. */
  freeze(tensors: readonly tf.Tensor[]): Promise<void>;
  /**
   * A computation of frozen tensors and of inputs that each run provides.
   * @param shapes of the inputs, such as the smallest image that the network takes
   * @param bytes where the runtime takes them. Default: none
   */
  trace(
    shapes: readonly (readonly number[])[],
    compute: (inputs: readonly tf.Tensor[]) => tf.Tensor,
    bytes?: ByteTensors,
  ): Computation;
  /**
   * Whether images of 8 bits are better fed as bytes than as floats, and labels returned as such: from and to a device with
   * memory of its own, a quarter has to be copied.
   */
  readonly takesBytes: boolean;
  /** What records networks whose feature maps are bytes; null where there are no such operators. */
  readonly bytes: OnnxBackend | null;
  /** Resolves once what disposed frozen tensors had is released. */
  settled(): Promise<void>;
  /** Releases everything. */
  close(): Promise<void>;
}

/** A backend that records a computation of any tensors, which then runs without TensorFlow.js. */
export interface Recorder {
  /** Of the computations that are recorded, or run without being recorded, from now on. */
  precision: GraphPrecision;
  facts(): Promise<Pick<RuntimeFacts, 'provider'>>;
  /**
   * @param inputs whose values each run provides; other tensors that are computed keep their values
   * @returns the recorded computation, which does not need the inputs any more
   */
  traceOf(inputs: readonly tf.Tensor[], compute: () => readonly tf.Tensor[]): Computation;
}

/** The backend as a recorder; null where each computation has to be expressed anew. */
export function recorderOf(backend: tf.KernelBackend): Recorder | null {
  return 'traceOf' in backend ? (backend as tf.KernelBackend & Recorder) : null;
}
