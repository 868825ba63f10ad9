import { NCHW, type Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import { type ConvGeometry, type ConvSizes, isBlockwise } from './conv-geometry.js';

/**
 * The gradient of a convolution by its filter as matrix products. Tap (i, j) is the product of the image, shifted by i
 * rows and j columns, with the output's gradient, summed over pixels. At stride 1 all taps are one product: of an image
 * stacked under its shifts by rows, and of the gradient stacked under its shifts by columns. So each is copied once per
 * row or column of the kernel, not once per tap.
 */
export function productFilterGradient(
  g: GraphWriter,
  x: Value,
  dy: Value,
  geometry: ConvGeometry,
  conv: ConvSizes,
): string {
  const { kernel_shape, strides, pads } = geometry;
  const [kh, kw] = kernel_shape;
  const [top, left, bottom, right] = pads;
  const isPadded = pads.some((p) => p > 0);
  const image = isPadded
    ? g.op('Pad', [x.as(NCHW), g.ints([0, 0, top, left, 0, 0, bottom, right])])
    : x.as(NCHW);
  const { batch, inChannels, outChannels, height, width, outHeight, outWidth } = conv;
  const sizes: FilterGradientSizes = {
    kh,
    kw,
    batch,
    inChannels,
    outChannels,
    rows: height + top + bottom,
    columns: width + left + right,
    outHeight,
    outWidth,
  };
  if (isBlockwise(geometry) && height === kh * outHeight && width === kw * outWidth) {
    return blockTaps(g, image, dy.as(NCHW), sizes);
  }
  const isDense = strides.every((n) => n === 1); // TensorFlow.js has no gradient of dilated convolutions
  return isDense
    ? stackedTaps(g, image, dy.as(NCHW), sizes)
    : separateTaps(g, image, dy.as(NCHW), sizes, strides);
}

interface FilterGradientSizes {
  readonly kh: number;
  readonly kw: number;
  readonly batch: number;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Of the padded image. */
  readonly rows: number;
  readonly columns: number;
  readonly outHeight: number;
  readonly outWidth: number;
}

/**
 * Stride 1: a single product. Whichever has more channels is stacked by rows, which `Gather` copies once and on
 * all threads; the other one by columns, which takes a copy per shift and another to concatenate them.
 */
function stackedTaps(g: GraphWriter, image: string, dy: string, sizes: FilterGradientSizes): string {
  const { kh, kw, batch, inChannels, outChannels, rows, columns, outHeight, outWidth } = sizes;
  const stack = (matrix: string, from: readonly number[], channels: number): string => {
    const shifted = kh === 1 ? matrix : g.op('Gather', [matrix, g.ints(from)], { axis: 1 });
    return g.op('Reshape', [shifted, g.ints([kh * channels, -1])]);
  };
  const join = (parts: readonly string[]): string =>
    kw === 1 ? parts[0]! : g.op('Concat', parts, { axis: 0 });
  const flat = (part: string, channels: number): string => g.op('Reshape', [part, g.ints([channels, -1])]);
  const shifts = Array.from({ length: kw }, (_, j) => j);

  if (inChannels >= outChannels) {
    // rows of the image that output row y of picture n meets at shift i; [I, kh, n, y] in that order
    const from = rowIndices(kh, batch, outHeight, (i, n, y) => n * rows + y + i);
    const images = stack(rowsOf(g, image, inChannels, batch, rows, columns), from, inChannels);
    const gradient = rowsOf(g, dy, outChannels, batch, outHeight, outWidth);
    const padded = (j: number) => g.op('Pad', [gradient, g.ints([0, 0, j, 0, 0, kw - 1 - j])]);
    const gradients = join(shifts.map((j) => flat(padded(j), outChannels)));
    const product = g.op('Gemm', [images, gradients], { transB: 1 });
    const split = g.op('Reshape', [product, g.ints([inChannels, kh, kw, outChannels])]);
    return g.op('Transpose', [split], { perm: [1, 2, 0, 3] });
  }
  // rows of the gradient, between kh − 1 empty ones, that image row y of picture n meets at shift i
  const spread = outHeight + 2 * (kh - 1);
  const from = rowIndices(kh, batch, rows, (i, n, y) => n * spread + y - i + kh - 1);
  const padded = kh === 1 ? dy : g.op('Pad', [dy, g.ints([0, 0, kh - 1, 0, 0, 0, kh - 1, 0])]);
  const gradients = stack(rowsOf(g, padded, outChannels, batch, spread, outWidth), from, outChannels);
  const pixels = rowsOf(g, image, inChannels, batch, rows, columns);
  const cut = (j: number) =>
    kw === 1 ? pixels : g.op('Slice', [pixels, g.ints([j]), g.ints([j + outWidth]), g.ints([2])]);
  const images = join(shifts.map((j) => flat(cut(j), inChannels)));
  const product = g.op('Gemm', [images, gradients], { transB: 1 });
  const split = g.op('Reshape', [product, g.ints([kw, inChannels, outChannels, kh])]);
  return g.op('Transpose', [split], { perm: [3, 0, 1, 2] });
}

function rowIndices(
  kh: number,
  batch: number,
  height: number,
  row: (shift: number, picture: number, y: number) => number,
): number[] {
  return Array.from({ length: kh * batch * height }, (_, at) => {
    const y = at % height;
    const n = Math.floor(at / height) % batch;
    return row(Math.floor(at / height / batch), n, y);
  });
}

/** `[N, C, H, W]` as `[C, N·H, W]`. */
function rowsOf(
  g: GraphWriter,
  nchw: string,
  channels: number,
  batch: number,
  height: number,
  width: number,
): string {
  const channelsFirst = batch === 1 ? nchw : g.op('Transpose', [nchw], { perm: [1, 0, 2, 3] });
  return g.op('Reshape', [channelsFirst, g.ints([channels, batch * height, width])]);
}

/** A map of the output's size, `[N, C, H, W]`, as `[C, N·H·W]`. */
function pixelsOf(
  g: GraphWriter,
  nchw: string,
  channels: number,
  { batch, outHeight, outWidth }: FilterGradientSizes,
): string {
  const rows = rowsOf(g, nchw, channels, batch, outHeight, outWidth);
  return g.op('Reshape', [rows, g.ints([channels, -1])]);
}

/** Strides equal to the kernel: each tap is an image, of which every pixel lies in another window. */
function blockTaps(g: GraphWriter, image: string, dy: string, sizes: FilterGradientSizes): string {
  const { kh, kw, batch, inChannels, outChannels, outHeight, outWidth } = sizes;
  const split = g.op('Reshape', [image, g.ints([batch, inChannels, outHeight, kh, outWidth, kw])]);
  const taps = g.op('Transpose', [split], { perm: [3, 5, 1, 0, 2, 4] });
  const pixels = g.op('Reshape', [taps, g.ints([kh * kw * inChannels, -1])]);
  const product = g.op('Gemm', [pixels, pixelsOf(g, dy, outChannels, sizes)], { transB: 1 });
  return g.op('Reshape', [product, g.ints([kh, kw, inChannels, outChannels])]);
}

/** Any other stride: one product per tap. */
function separateTaps(
  g: GraphWriter,
  image: string,
  dy: string,
  sizes: FilterGradientSizes,
  strides: readonly [number, number],
): string {
  const { kh, kw, inChannels, outChannels, outHeight, outWidth } = sizes;
  const gradient = pixelsOf(g, dy, outChannels, sizes);
  const taps = Array.from({ length: kh * kw }, (_, tap) => {
    const from = [Math.floor(tap / kw), tap % kw] as const;
    const to = [from[0] + (outHeight - 1) * strides[0] + 1, from[1] + (outWidth - 1) * strides[1] + 1];
    const pixels = g.op('Slice', [image, g.ints(from), g.ints(to), g.ints([2, 3]), g.ints(strides)]);
    return g.op('Gemm', [pixelsOf(g, pixels, inChannels, sizes), gradient], { transB: 1 });
  });
  const stacked = taps.length === 1 ? taps[0]! : g.op('Concat', taps, { axis: 0 });
  return g.op('Reshape', [stacked, g.ints([kh, kw, inChannels, outChannels])]);
}
