import tf = require('@tensorflow/tfjs-core');

import { createRequire } from 'node:module';
import { DeviceUnavailableError, graphError } from '../errors.js';
import type { Computation, ComputationInput, Runtime, RuntimeFacts } from '../runtime.js';
import { type BoundTensorFlow, bindTensorFlow } from './bind.js';
import type { TensorFlowInstallation } from './installation.js';

// For its side effect: core's own Node build registers no gradients, the layers' build registers all.
createRequire(import.meta.url)('@tensorflow/tfjs-layers');

/**
 * The runtime on TensorFlow's library. It records nothing: each computation is expressed anew, and TensorFlow runs an
 * operator as soon as it is called, on the threads that the process was started with (`divideThreads` does not apply).
 */
export class TensorFlowRuntime implements Runtime {
  readonly bytes = null;

  private constructor(
    private readonly bound: BoundTensorFlow,
    public threads: number,
  ) {}

  /**
   * Loads TensorFlow and selects it in this thread's TensorFlow.js. To be called once a thread.
   * @param threads those of the process; see `prepareTensorFlow`
   * @throws DeviceUnavailableError where it cannot be loaded
   */
  static async start(installation: TensorFlowInstallation, threads: number): Promise<TensorFlowRuntime> {
    return new TensorFlowRuntime(await bindTensorFlow(installation), threads);
  }

  async facts(): Promise<RuntimeFacts> {
    const { version, isGpu } = this.bound;
    if (isGpu) {
      throw new DeviceUnavailableError(
        'TensorFlow computes on a GPU, which receipts could not name; set CUDA_VISIBLE_DEVICES=-1',
      );
    }
    return { provider: 'cpu', channelBlock: null, tensorflow: version };
  }

  async freeze(): Promise<void> {
    // weights are tensors of the library already, and computations refer to them
  }

  readonly takesBytes = false;

  trace(
    shapes: readonly (readonly number[])[],
    compute: (inputs: readonly tf.Tensor[]) => tf.Tensor,
  ): Computation {
    return {
      run: async (inputs) => [await run(inputs, shapes, compute)],
      release: async () => undefined,
    };
  }

  async settled(): Promise<void> {
    // tensors are freed as they are disposed of
  }

  async close(): Promise<void> {
    // the library frees the rest with its thread
  }
}

/** Runs a computation. @throws GraphError, OutOfMemoryError */
async function run(
  inputs: readonly ComputationInput[],
  shapes: readonly (readonly number[])[],
  compute: (inputs: readonly tf.Tensor[]) => tf.Tensor,
): Promise<Float32Array | Int32Array | Uint8Array> {
  try {
    const output = tf.tidy(() =>
      compute(inputs.map(({ values, shape }, i) => tf.tensor(values, [...(shape ?? shapes[i]!)]))),
    );
    try {
      return await output.data();
    } finally {
      output.dispose();
    }
  } catch (cause) {
    throw graphError('TensorFlow failed', cause);
  }
}
