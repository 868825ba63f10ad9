import { createRequire } from 'node:module';

import tf = require('@tensorflow/tfjs-core');

import { BACKEND, OnnxBackend } from './backend.js';
import { arrangeKernels } from './kernels/arrange.js';
import { convKernels } from './kernels/conv.js';
import { depthToSpaceKernels } from './kernels/depth-to-space.js';
import { elementwiseKernels } from './kernels/elementwise.js';
import type { Kernel } from './kernels/kernel.js';
import { nodeKernels } from './kernels/node.js';
import { poolKernels } from './kernels/pool.js';
import { reduceKernels } from './kernels/reduce.js';
import { resizeKernels } from './kernels/resize.js';
import { shapeKernels } from './kernels/shape.js';

import type { SessionOptions } from './sessions.js';

// For its side effect: core's own Node build registers no gradients, the layers' build registers all.
createRequire(import.meta.url)('@tensorflow/tfjs-layers');

/** Every kernel of the backend. */
export const kernels: readonly Kernel[] = [
  ...elementwiseKernels,
  ...reduceKernels,
  ...shapeKernels,
  ...arrangeKernels,
  ...convKernels,
  ...poolKernels,
  ...resizeKernels,
  ...depthToSpaceKernels,
  ...nodeKernels,
];

/**
 * Registers the `onnx` backend with this thread's TensorFlow.js and selects it. To be called once a thread;
 * all kernels that TensorFlow.js runs afterwards are recorded, and computed by ONNX Runtime.
 */
export async function useOnnxBackend(options: SessionOptions): Promise<OnnxBackend> {
  const backend = new OnnxBackend(options);
  tf.registerBackend(BACKEND, () => backend);
  for (const { name, run } of kernels) {
    tf.registerKernel({ kernelName: name, backendName: BACKEND, kernelFunc: run as tf.KernelFunc });
  }
  await tf.setBackend(BACKEND);
  return backend;
}
