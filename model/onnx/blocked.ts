import * as ort from 'onnxruntime-node';
import { encodeModel, NCHWC } from './proto.js';
import { GraphWriter } from './writer.js';

/**
 * For every session of a process. A network that is sure of itself has gradients too small for a normal
 * float, at which a CPU is some hundred times slower. ONNX Runtime asks only the first session of a process
 * whether the calling thread is to flush them: were that without it, a bit of a result could depend on
 * which thread computed it.
 */
export const FLUSH_DENORMALS = { session: { set_denormal_as_zero: '1' } } as const;

/**
 * ONNX Runtime convolves images fastest in blocks of channels, `[N, C/b, H, W, b]`, and brings a graph
 * into that form by itself where weights are constants. In training they are not, so its operators for
 * blocked images are written here. They belong to no standard, and b to the machine: both are tried.
 */
const BLOCKS = [16, 8];

/** The length of blocks on this device, or null where its convolutions know none. */
export async function findBlock(provider: string, threads: number): Promise<number | null> {
  if (provider !== 'cpu') return null;
  for (const block of BLOCKS) if (await agrees(block, threads)) return block;
  return null;
}

/** Whether a blocked convolution gives what a plain one does. */
async function agrees(block: number, threads: number): Promise<boolean> {
  const [channels, side] = [2 * block, 6];
  const g = new GraphWriter(block);
  g.inputs.push({ name: 'x', element: 'float32', dims: [1, channels, side, side] });
  g.inputs.push({ name: 'w', element: 'float32', dims: [9, channels, channels] });
  const whole = g.ints([channels, channels, 3, 3]);
  const plain = g.op('Reshape', [g.op('Transpose', ['w'], { perm: [2, 1, 0] }), whole]);
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
  g.nodes.push({ opType: 'Identity', input: [difference], output: ['y'], attribute: [] });
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
    return false; // this build has no such operators, or not for blocks of this length
  }
}

/**
 * A filter `[taps, I, O]` as `[O/b, I/b, taps, b of I, b of O]`, which ONNX Runtime wants called `[O, I, H, W]`.
 * The graph's blocks must divide both counts of channels.
 */
export function blockedFilter(
  g: GraphWriter,
  filter: string,
  kernel: readonly [number, number],
  [inChannels, outChannels]: readonly [number, number],
): string {
  const block = g.block!;
  const split = g.ints([kernel[0] * kernel[1], inChannels / block, block, outChannels / block, block]);
  const moved = g.op('Transpose', [g.op('Reshape', [filter, split])], { perm: [3, 1, 0, 2, 4] });
  return g.op('Reshape', [moved, g.ints([outChannels, inChannels, ...kernel])]);
}
