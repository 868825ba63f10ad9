import type { Runtime } from '../runtime.js';
import type { LaneData } from './engine-methods.js';

/** Graphs of a training, or of an engine whose memory is not limited, that are cached. */
const MAX_SESSIONS = 32;

/**
 * Starts what runs the networks of this thread; only that is loaded. To be called once a thread.
 * @throws DeviceUnavailableError where it cannot be loaded
 */
export async function startRuntime({ tensorflow, precision, ...options }: LaneData): Promise<Runtime> {
  if (tensorflow) {
    const { TensorFlowRuntime } = await import('../tensorflow/runtime.js');
    return TensorFlowRuntime.start(tensorflow, options.threads);
  }
  const { useOnnxBackend } = await import('../onnx/register.js');
  const maxSessions = options.heapMb === undefined ? MAX_SESSIONS : Number.POSITIVE_INFINITY;
  // The device's libraries round to 19 bits by themselves: see device-process.ts.
  const ofGraphs = precision === 'fp16' ? 'fp16' : 'fp32';
  return useOnnxBackend({ ...options, maxSessions, precision: ofGraphs });
}
