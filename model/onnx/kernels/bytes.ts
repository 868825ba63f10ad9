import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { OnnxBackend } from '../backend.js';
import type { Operator } from '../operator.js';
import { CONTRIB } from '../proto.js';
import { BLOCKED, NCHW, type Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import { concat, slice } from './arrange.js';
import type { ConvGeometry } from './conv-geometry.js';

/*
 * Operators on images of bytes, `[N, H, W, C]` in that order in memory: ONNX Runtime convolves bytes fastest so. They
 * know no scales: a byte is a number from 0 to 255, and whoever records them knows what it stands for.
 */

/** Constants of a byte convolution; see `ByteFilter`. */
export interface ByteWeights {
  /** `int8`, `[O, I, H, W]`. */
  readonly filter: TensorInfo;
  /** `float32`, `[O]`. */
  readonly scale: TensorInfo;
  /** `int32`, `[O]`. */
  readonly bias: TensorInfo;
}

const one = (g: GraphWriter): string => g.scalar(1);
const zeroByte = (g: GraphWriter): string => g.scalar(0, 'uint8');

/** Rounds numbers to bytes, limited to 0 … 255. */
const roundOperator: Operator = {
  name: 'RoundToBytes',
  emit(g, [x], _attributes, output) {
    const toBytes = (name: string) => g.op('QuantizeLinear', [name, one(g), zeroByte(g)]);
    if (!x.isBlocked) return output.value(toBytes(x.as(NCHW)), NCHW);
    // a block's channels are neighbours already
    const block = g.block!;
    const split = g.ints([0, x.channels / block, 0, 0, block]);
    const blocks = g.op('Reshape', [toBytes(x.as(BLOCKED)), split]);
    const pixels = g.op('Transpose', [blocks], { perm: [0, 2, 3, 1, 4] });
    return output.value(g.op('Reshape', [pixels, g.ints([0, 0, 0, -1])]));
  },
};

interface ByteConvolution {
  readonly geometry: Pick<ConvGeometry, 'kernel_shape' | 'dilations' | 'pads'>;
  /** Whether the filter reads and computes pairs of neighbouring pixels as if they were one. */
  readonly isPaired: boolean;
}
type ConvInputs = readonly [x: Value, filter: Value, scale: Value, bias: Value];

const convOperator: Operator<ByteConvolution & { readonly outChannels: number }, ConvInputs> = {
  name: 'ConvBytes',
  emit(g, [x, filter, scale, bias], { geometry, isPaired, outChannels }, output) {
    const filters = outChannels * (isPaired ? 2 : 1);
    const inputs = [
      isPaired ? g.op('Reshape', [x.plain, g.ints([0, 0, -1, 2 * x.channels])]) : x.plain,
      one(g),
      zeroByte(g),
      filter.plain,
      scale.plain,
      g.initializer('int8', [filters], new Int8Array(filters)),
      one(g),
      zeroByte(g),
      bias.plain,
    ];
    const y = g.op(`${CONTRIB}:QLinearConv`, inputs, { ...geometry, channels_last: 1 });
    return output.value(isPaired ? g.op('Reshape', [y, g.ints([0, 0, -1, outChannels])]) : y);
  },
};

const maxPoolOperator: Operator<{ readonly size: readonly [number, number] }> = {
  name: 'MaxPoolBytes',
  emit(g, [x], { size }, output) {
    const windows = { kernel_shape: size, strides: size };
    return output.value(g.op(`${CONTRIB}:NhwcMaxPool`, [x.plain], windows));
  },
};

/** Interleaves the rows of images `[n, h, w, columns·c]`; each pixel becomes a block `[rows, columns, c]`. */
const blocksOperator: Operator<{ readonly columns: number; readonly channels: number }, readonly Value[]> = {
  name: 'PixelsToBlocks',
  emit(g, rows, { columns, channels }, output) {
    const merged = rows.map((row) => g.op('Reshape', [row.plain, g.ints([0, 0, -1])]));
    const interleaved = g.op('Concat', merged, { axis: 2 });
    const [pixels] = rows as [Value];
    const counts = g.op('Slice', [g.op('Shape', [pixels.plain]), g.ints([0]), g.ints([3])]);
    const enlarged = g.op('Mul', [counts, g.ints([1, rows.length, columns])]);
    const shape = g.op('Concat', [enlarged, g.ints([channels])], { axis: 0 });
    return output.value(g.op('Reshape', [interleaved, shape]));
  },
};

/** `scale · (Σ filter · byte) + bias` for each pixel. */
const weighOperator: Operator<
  { readonly channels: number },
  readonly [x: Value, filter: Value, scale: Value, bias: Value]
> = {
  name: 'WeighBytes',
  emit(g, [x, filter, scale, bias], { channels }, output) {
    const zeros = g.initializer('int8', [channels], new Int8Array(channels));
    const inputs = [x.plain, filter.plain, one(g), scale.plain, zeroByte(g), zeros, bias.plain];
    return output.value(g.op(`${CONTRIB}:MatMulIntegerToFloat`, inputs));
  },
};

/** Rounds an image of floats to bytes, limited to 0 … 255. */
export function roundToBytes(backend: OnnxBackend, x: TensorInfo): TensorInfo {
  return backend.record(roundOperator, [x], {}, x.shape, 'uint8');
}

/**
 * Convolves bytes; see `ByteFilter`. Outside the image, bytes are 0.
 * @param geometry in pixels, or in pairs of pixels; then the image's width, and the result's, must be even
 */
export function convolveBytes(
  backend: OnnxBackend,
  x: TensorInfo,
  { filter, scale, bias }: ByteWeights,
  { geometry, isPaired }: ByteConvolution,
): TensorInfo {
  const [n, height, width] = x.shape as [number, number, number, number];
  const { kernel_shape, dilations, pads } = geometry;
  const pixels = isPaired ? 2 : 1;
  const length = (size: number, axis: 0 | 1) =>
    size + pads[axis] + pads[axis + 2]! - dilations[axis] * (kernel_shape[axis] - 1);
  const outChannels = filter.shape[0]! / pixels;
  const shape = [n, length(height, 0), pixels * length(width / pixels, 1), outChannels];
  const attributes = { geometry, isPaired, outChannels };
  return backend.record(convOperator, [x, filter, scale, bias], attributes, shape, 'uint8');
}

/** The greatest byte of each channel in windows side by side. */
export function maxPoolBytes(
  backend: OnnxBackend,
  x: TensorInfo,
  size: readonly [number, number],
): TensorInfo {
  const [n, height, width, channels] = x.shape as [number, number, number, number];
  const shape = [n, Math.floor(height / size[0]), Math.floor(width / size[1]), channels];
  return backend.record(maxPoolOperator, [x], { size }, shape, 'uint8');
}

/** Turns each pixel of rows `[n, h, w, columns·c]` into a block of `[rows, columns, c]`. */
export function pixelsToBlocks(
  backend: OnnxBackend,
  rows: readonly TensorInfo[],
  columns: number,
): TensorInfo {
  const [n, height, width, length] = rows[0]!.shape as [number, number, number, number];
  const channels = length / columns;
  const shape = [n, height * rows.length, width * columns, channels];
  return backend.record(blocksOperator, rows, { columns, channels }, shape, 'uint8');
}

/** Cuts rows and columns off an image, in front and behind. */
export function cropBytes(
  backend: OnnxBackend,
  x: TensorInfo,
  [top, bottom]: readonly [number, number],
  [left, right]: readonly [number, number],
): TensorInfo {
  const [n, height, width, channels] = x.shape as [number, number, number, number];
  return slice(backend, x, [0, top, left, 0], [n, height - top - bottom, width - left - right, channels]);
}

/** Repeats each pixel in a block of `size`. */
export function repeatPixels(
  backend: OnnxBackend,
  x: TensorInfo,
  [down, across]: readonly [number, number],
): TensorInfo {
  if (across === 1) return pixelsToBlocks(backend, Array<TensorInfo>(down).fill(x), across);
  const row = concat(backend, Array<TensorInfo>(across).fill(x), 3);
  const blocks = pixelsToBlocks(backend, Array<TensorInfo>(down).fill(row), across);
  backend.disposeData(row.dataId);
  return blocks;
}

/**
 * Weighs the channels of each pixel: `scale · (Σ filter · byte) + bias`, as floats.
 * @param weights constants: a filter `[I, O]` of `int8`, a scale and a bias `[O]` of `float32`
 */
export function weighBytes(
  backend: OnnxBackend,
  x: TensorInfo,
  { filter, scale, bias }: ByteWeights,
): TensorInfo {
  const channels = filter.shape[1]!;
  const shape = [...x.shape.slice(0, 3), channels];
  return backend.record(weighOperator, [x, filter, scale, bias], { channels }, shape, 'float32');
}
