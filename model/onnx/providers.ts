import * as ort from 'onnxruntime-node';
import type { Provider } from '../devices/device.js';
import { DeviceUnavailableError } from '../errors.js';
import { encodeModel } from './proto.js';
import { GraphWriter } from './writer.js';

/** A device as sessions are created for it. */
export interface DeviceOptions {
  readonly provider: Provider;
  /** Its index among those of its kind. Default 0. */
  readonly device?: number;
}

/** ONNX Runtime's names of a device, in the order of preference: the CPU computes what the device cannot. */
export function executionProviders({
  provider,
  device = 0,
}: DeviceOptions): ort.InferenceSession.ExecutionProviderConfig[] {
  switch (provider) {
    case 'cpu':
      return ['cpu'];
    case 'cuda':
      return [{ name: 'cuda', deviceId: device }, 'cpu'];
    case 'webgpu':
      return ['webgpu', 'cpu']; // it takes no index
  }
}

/**
 * What ONNX Runtime's binding passes on as entries of a session's configuration. A GPU's kernels are to add in the same order
 * in each run, where there is one that does; those of the CPU do so anyway.
 */
export const configOf = (provider: Provider): Readonly<Record<string, string>> =>
  provider === 'cpu' ? {} : { use_deterministic_compute: '1' };

/** What `tryDevice` computes: sums of nine numbers that every precision has. */
const SUMS = '45, 54, 81, 90';

/**
 * Computes a small convolution on a device: libraries are loaded only then, and some of their errors show only then.
 * @throws what ONNX Runtime throws; DeviceUnavailableError where the values are wrong
 */
export async function tryDevice(options: DeviceOptions): Promise<void> {
  const g = new GraphWriter();
  g.inputs.push({ name: 'x', element: 'float32', dims: [1, 1, 4, 4] });
  const filter = g.initializer('float32', [1, 1, 3, 3], new Float32Array(9).fill(1));
  g.nodes.push({ opType: 'Conv', input: ['x', filter], output: ['y'], attributes: { kernel_shape: [3, 3] } });
  g.outputs.push({ name: 'y', element: 'float32', dims: [1, 1, 2, 2] });
  const session = await ort.InferenceSession.create(encodeModel(g), {
    executionProviders: executionProviders(options),
    logSeverityLevel: 3,
  });
  const x = Float32Array.from({ length: 16 }, (_, i) => i);
  const { y } = await session.run({ x: new ort.Tensor('float32', x, [1, 1, 4, 4]) });
  await session.release();
  const sums = (y!.data as Float32Array).join(', ');
  if (sums !== SUMS) throw new DeviceUnavailableError(`it computes ${sums} in place of ${SUMS}`);
}
