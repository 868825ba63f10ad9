import * as ort from 'onnxruntime-node';
import type { Provider } from '../devices/device.js';
import { encodeModel, NCHWC } from './proto.js';
import { GraphWriter } from './writer.js';

/**
 * Session options that flush denormal floats to zero. A confident network has gradients that are too small for a
 * normal float, and a CPU computes with those some hundred times slower.
 *
 * Every session of a process needs them: ONNX Runtime applies only the first session's choice to the calling
 * thread, so if that one lacked it, a bit of a result could depend on the thread that computed it.
 */
export const FLUSH_DENORMALS = { session: { set_denormal_as_zero: '1' } } as const;

/**
 * Channels in a block that ONNX Runtime's builds use. It convolves images fastest in blocks of channels,
 * `[N, C/b, H, W, b]`. It converts a graph to that form by itself, but only where weights are constants, as they
 * are not in training, and it returns to NCHW at crops, up-convolutions and concatenations. So its operators for blocked
 * images are written by us. Neither they nor b are specified anywhere, so both are probed.
 */
const BLOCKS = [16, 8];

/** Channels in a block on this device; null where it has no blocked operators. */
export async function findBlock(provider: Provider, threads: number): Promise<number | null> {
  if (provider !== 'cpu') return null;
  for (const block of BLOCKS) if (await isSupported(block, threads)) return block;
  return null;
}

/** Whether a blocked convolution computes the values of a plain one. */
async function isSupported(block: number, threads: number): Promise<boolean> {
  const [channels, side] = [2 * block, 6];
  const g = new GraphWriter(block);
  g.inputs.push({ name: 'x', element: 'float32', dims: [1, channels, side, side] });
  g.inputs.push({ name: 'w', element: 'float32', dims: [9, channels, channels] });
  const filterShape = g.ints([channels, channels, 3, 3]);
  const plain = g.op('Reshape', [g.op('Transpose', ['w'], { perm: [2, 1, 0] }), filterShape]);
  const kernel = { kernel_shape: [3, 3] };
  const blocked = g.op(
    `${NCHWC}:Conv`,
    [g.op(`${NCHWC}:ReorderInput`, ['x']), blockedFilter(g, 'w', [3, 3], [channels, channels])],
    kernel,
  );
  const difference = g.op('Sub', [
    g.op('Conv', ['x', plain], kernel),
    g.op(`${NCHWC}:ReorderOutput`, [blocked], { channels }),
  ]);
  g.nodes.push({ opType: 'Identity', input: [difference], output: ['y'], attributes: {} });
  g.outputs.push({ name: 'y', element: 'float32', dims: [1, channels, side - 2, side - 2] });
  try {
    const session = await ort.InferenceSession.create(encodeModel(g), {
      intraOpNumThreads: threads,
      logSeverityLevel: 4,
      extra: FLUSH_DENORMALS,
    });
    const values = (length: number) =>
      Float32Array.from({ length }, (_, i) => ((i * 7919) % 101) / 101 - 0.5);
    const { y } = await session.run({
      x: new ort.Tensor('float32', values(channels * side * side), [1, channels, side, side]),
      w: new ort.Tensor('float32', values(9 * channels * channels), [9, channels, channels]),
    });
    await session.release();
    return (y!.data as Float32Array).every((value) => Math.abs(value) < 1e-4);
  } catch {
    return false; // this build has no blocked operators, or uses blocks of another length
  }
}

/**
 * Reorders a filter `[taps, I, O]` to `[O/b, I/b, taps, b of I, b of O]`, which ONNX Runtime expects under the
 * shape `[O, I, H, W]`. The graph's blocks must divide both numbers of channels.
 */
export function blockedFilter(
  g: GraphWriter,
  filter: string,
  kernel: readonly [number, number],
  [inChannels, outChannels]: readonly [number, number],
): string {
  const block = g.run;
  const split = g.ints([kernel[0] * kernel[1], inChannels / block, block, outChannels / block, block]);
  const moved = g.op('Transpose', [g.op('Reshape', [filter, split])], { perm: [3, 1, 0, 2, 4] });
  return g.op('Reshape', [moved, g.ints([outChannels, inChannels, ...kernel])]);
}

/**
 * Reorders a filter `[taps, I, O]` to `[O/b, I, taps, b of O]`, for images in NCHW that have fewer channels than a
 * block, which ONNX Runtime expects under the shape `[O, I, H, W]`.
 */
export function openFilter(
  g: GraphWriter,
  filter: string,
  kernel: readonly [number, number],
  [inChannels, outChannels]: readonly [number, number],
): string {
  const block = g.run;
  const split = g.ints([kernel[0] * kernel[1], inChannels, outChannels / block, block]);
  const moved = g.op('Transpose', [g.op('Reshape', [filter, split])], { perm: [2, 1, 0, 3] });
  return g.op('Reshape', [moved, g.ints([outChannels, inChannels, ...kernel])]);
}
