import type { ShapeBoundOperator } from '../operator.js';
import { NCHWC } from '../proto.js';
import { BLOCKED, NCHW, type Shape, type Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import { fitPixels, type Windows } from './windows.js';

/**
 * The gradient of max pooling: each window's goes to its first maximum, row by row, as TensorFlow.js decides. Neither form
 * needs `MaxUnpool`, which CUDA lacks, or the indices of `MaxPool`, which WebGPU lacks.
 */
export const maxPoolGradient: ShapeBoundOperator<Windows, readonly [dy: Value, x: Value]> = {
  name: 'MaxPoolGrad',
  shapeBound: true,
  emit(g, [dy, x], windows, output, shapes) {
    // U-Nets halve images; other windows are rare, and leave the blocks
    const [, height, width] = shapes.output as [number, number, number, number];
    const isHalving = [...windows.kernel_shape, ...windows.strides].every((n) => n === 2);
    if (x.isBlocked && isHalving && height % 2 === 0 && width % 2 === 0) {
      return output.value(poolGradientOfBlocks(g, dy.as(BLOCKED), x, shapes.output), BLOCKED);
    }
    return output.value(poolGradientOfTaps(g, dy.as(NCHW), x.as(NCHW), windows, shapes), NCHW);
  },
};

/**
 * Tap by tap: the first pixels of all windows are an image of the pooled size, and so are the second ones. A tap that
 * reaches the maximum takes what no earlier one took; the last one takes the rest, so that no gradient is lost. It is
 * selected, not multiplied: an infinite one must not become NaN at its neighbours.
 */
function poolGradientOfTaps(
  g: GraphWriter,
  dy: string,
  x: string,
  windows: Windows,
  { inputs, output }: { readonly inputs: readonly [dy: Shape, x: Shape]; readonly output: Shape },
): string {
  const [batch, rows, columns, channels] = inputs[0] as [number, number, number, number];
  const [, height, width] = output as [number, number, number, number];
  const [[kh, kw], [down, across]] = [windows.kernel_shape, windows.strides];
  const maxima = g.op('MaxPool', [x], windows);
  const zero = g.scalar(0);
  let rest = dy;
  /** The gradients of one pixel of each window; those between windows have none. */
  const take = (i: number, j: number): string => {
    if (i >= kh || j >= kw) return g.op('ConstantOfShape', [g.ints([batch, channels, rows, columns])]);
    if (i === kh - 1 && j === kw - 1) return rest;
    const ends = [i + (rows - 1) * down + 1, j + (columns - 1) * across + 1];
    const tap = g.op('Slice', [x, g.ints([i, j]), g.ints(ends), g.ints([2, 3]), g.ints([down, across])]);
    const isMaximum = g.op('GreaterOrEqual', [tap, maxima]);
    const taken = g.op('Where', [isMaximum, rest, zero]);
    rest = g.op('Where', [isMaximum, zero, rest]);
    return taken;
  };
  const taps = Array.from({ length: down * across }, (_, at) => take(Math.floor(at / across), at % across));
  const stacked = taps.length === 1 ? taps[0]! : g.op('Concat', taps, { axis: 1 });
  const split = g.op('Reshape', [stacked, g.ints([batch, down, across, channels, rows, columns])]);
  const moved = g.op('Transpose', [split], { perm: [0, 3, 4, 1, 5, 2] });
  const pixels = g.op('Reshape', [moved, g.ints([batch, channels, rows * down, columns * across])]);
  return fitPixels(g, pixels, [height - rows * down, width - columns * across]);
}

/**
 * The gradient of pooling an image in blocks by windows of 2² pixels, first to the rows of each window and then to the
 * columns: of two, the first one gets it unless the second is larger. So it is routed to the first maximum, row by row.
 */
function poolGradientOfBlocks(g: GraphWriter, dy: string, x: Value, shape: Shape): string {
  const [batch, height, width, channels] = shape as [number, number, number, number];
  const image = x.as(BLOCKED);
  const columns = { kernel_shape: [1, 2], strides: [1, 2], pads: [0, 0, 0, 0] };
  const rowMaxima = g.op(`${NCHWC}:MaxPool`, [image], columns);
  const rowLength = (width / 2) * g.block!;
  const ofRows = route(g, dy, firstMask(g, rowMaxima, [2, 1], channels), rowLength);
  const half = g.op('Reshape', [ofRows, g.ints([batch, channels, height, width / 2])]);
  const ofPixels = route(g, half, firstMask(g, image, [1, 2], channels), g.block!);
  return g.op('Reshape', [ofPixels, g.ints([batch, channels, height, width])]);
}

/** For each pair of pixels side by side, or one below the other: 1 where the first is at least the second, else 0. */
function firstMask(
  g: GraphWriter,
  image: string,
  kernel: readonly [number, number],
  channels: number,
): string {
  const block = g.block!;
  const filter = Float32Array.from({ length: 2 * channels }, (_, i) => (i % (2 * block) < block ? 1 : -1));
  return g.op(`${NCHWC}:Conv`, [image, g.initializer('float32', [channels, 1, ...kernel], filter)], {
    kernel_shape: kernel,
    strides: kernel,
    group: channels,
    ...STEEP,
  });
}

/** Splits each gradient between two neighbours, interleaving runs of `length`. */
function route(g: GraphWriter, dy: string, toFirst: string, length: number): string {
  const first = g.op('Mul', [dy, toFirst]);
  const runs = [first, g.op('Sub', [dy, first])].map((y) => g.op('Reshape', [y, g.ints([-1, length])]));
  return g.op('Concat', runs, { axis: 1 });
}

/** A step function: 1 for differences of at least 0, else 0, as denormals are flushed. */
const STEEP = { activation: 'HardSigmoid', activation_params: { floats: [3e38, 1] } } as const;
