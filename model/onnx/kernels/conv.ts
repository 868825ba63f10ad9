import * as tf from '@tensorflow/tfjs-core';
import { UnsupportedKernelError } from '../../errors.js';
import type { Operator, RecordAttributes } from '../record.js';
import { type GraphWriter, NCHW, Value } from '../writer.js';
import { type Kernel, kernel } from './kernel.js';

type Conv2DInfo = tf.backend_util.Conv2DInfo;
type Pad = number | 'valid' | 'same' | tf.backend_util.ExplicitPadding;

interface ConvAttributes {
  readonly strides: number | [number, number];
  readonly pad: Pad;
  readonly dataFormat: 'NHWC' | 'NCHW';
  readonly dilations?: number | [number, number];
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

/** The geometry of one convolution, as attributes of the recorded operator. */
interface ConvGeometry extends RecordAttributes {
  readonly kernel: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  /** Top, left, bottom, right: ONNX's order. */
  readonly pads: readonly [number, number, number, number];
}

function infoOf(
  name: string,
  xShape: readonly number[],
  filterShape: readonly number[],
  attrs: ConvAttributes,
): Conv2DInfo {
  if (attrs.dataFormat === 'NCHW') throw new UnsupportedKernelError(name, 'dataFormat NCHW; use NHWC');
  const info = tf.backend_util.computeConv2DInfo(
    xShape as [number, number, number, number],
    filterShape as [number, number, number, number],
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
    attrs.dimRoundingMode,
  );
  if (filterShape[2] !== xShape[3]) throw new UnsupportedKernelError(name, 'grouped convolution');
  return info;
}

function geometryOf(info: Conv2DInfo): ConvGeometry {
  const { top, left, bottom, right } = info.padInfo;
  return {
    kernel: [info.filterHeight, info.filterWidth],
    strides: [info.strideHeight, info.strideWidth],
    dilations: [info.dilationHeight, info.dilationWidth],
    pads: [top, left, bottom, right],
  };
}

const activations: Record<string, (g: GraphWriter, x: string) => string> = {
  linear: (_g, x) => x,
  relu: (g, x) => g.op('Relu', [x]),
  sigmoid: (g, x) => g.op('Sigmoid', [x]),
};

/**
 * A filter `[H, W, I, O]` turned by 180°, as `[I, O, H, W]`: what its input's gradient is convolved with.
 * Taps are contiguous blocks, so gathering them moves blocks, and what is left is a transposition of a
 * matrix. ONNX Runtime is quick at both, and slow at reversing or permuting single values.
 */
function turned(g: GraphWriter, filter: Value): string {
  const [kh, kw, inChannels, outChannels] = filter.type.shape as [number, number, number, number];
  const taps = kh * kw;
  const last = Array.from({ length: taps }, (_, tap) => taps - 1 - tap);
  const matrix = g.op('Reshape', [filter.plain, g.ints([taps, inChannels * outChannels])]);
  const moved = g.op('Transpose', [g.op('Gather', [matrix, g.ints(last)], { axis: 0 })], { perm: [1, 0] });
  return g.op('Reshape', [moved, g.ints([inChannels, outChannels, kh, kw])]);
}

/**
 * A filter `[H, W, I, O]` as `[O, I, H, W]`, which ONNX convolves with: by two transpositions of matrices.
 * The gathering between them moves nothing, and keeps ONNX Runtime from making one slow permutation of
 * them.
 */
function outputsFirst(g: GraphWriter, filter: Value): string {
  const [kh, kw, inChannels, outChannels] = filter.type.shape as [number, number, number, number];
  const taps = kh * kw;
  const matrix = g.op('Reshape', [filter.plain, g.ints([taps * inChannels, outChannels])]);
  const each = g.ints(Array.from({ length: outChannels }, (_, o) => o));
  const rows = g.op('Gather', [g.op('Transpose', [matrix], { perm: [1, 0] }), each], { axis: 0 });
  const blocks = g.op('Reshape', [rows, g.ints([outChannels, taps, inChannels])]);
  const moved = g.op('Transpose', [blocks], { perm: [0, 2, 1] });
  return g.op('Reshape', [moved, g.ints([outChannels, inChannels, kh, kw])]);
}

/** Inputs: image, filter and, if there is one, bias of shape `[O]`. */
const convOperator: Operator = {
  name: 'Conv2D',
  write(g, [x, filter, bias], attributes, type) {
    const { kernel: kernelShape, strides, dilations, pads } = attributes as ConvGeometry;
    const inputs = [x!.as(NCHW), outputsFirst(g, filter!), ...(bias ? [bias.plain] : [])];
    const y = g.op('Conv', inputs, { kernel_shape: kernelShape, strides, dilations, pads });
    const activate = activations[(attributes.activation as string | undefined) ?? 'linear']!;
    return new Value(g, type, activate(g, y), NCHW);
  },
};

/**
 * The gradient of a convolution by its input; also what an up-convolution computes. Three forms:
 * - stride equal to the kernel, no padding: each input pixel makes a block of its own, so a 1×1
 *   convolution and DepthToSpace. Unlike ConvTranspose this agrees with itself at every size.
 * - stride 1: a convolution of the padded gradient with the turned filter.
 * - anything else: ConvTranspose.
 */
const convInputGradient: Operator = {
  name: 'Conv2DBackpropInput',
  shapeBound: false,
  write(g, [dy, filter], attributes, type) {
    const geometry = attributes as ConvGeometry;
    const { kernel: kernelShape, strides, pads, dilations } = geometry;
    const [kh, kw] = kernelShape;
    const extra = attributes.outputPadding as readonly [number, number];
    if (isBlockwise(geometry) && extra.every((n) => n === 0)) {
      const [, , inChannels, outChannels] = filter!.type.shape as [number, number, number, number];
      // [kh, kw, I, O] -> [I, kh, kw, O] -> [I·kh·kw, O, 1, 1], the channel order of DepthToSpace CRD
      const rows = g.op('Transpose', [filter!.plain], { perm: [2, 0, 1, 3] });
      const pointwise = g.op('Reshape', [rows, g.ints([inChannels * kh * kw, outChannels, 1, 1])]);
      const blocks = g.op('Conv', [dy!.as(NCHW), pointwise], { kernel_shape: [1, 1] });
      return new Value(g, type, g.op('DepthToSpace', [blocks], { blocksize: kh, mode: 'CRD' }), NCHW);
    }
    const unit = strides[0] === 1 && strides[1] === 1 && dilations[0] === 1 && dilations[1] === 1;
    const [top, left, bottom, right] = pads;
    if (unit && Math.max(top, bottom) < kh && Math.max(left, right) < kw) {
      const full = [kh - 1 - top, kw - 1 - left, kh - 1 - bottom, kw - 1 - right];
      const w = turned(g, filter!);
      return new Value(
        g,
        type,
        g.op('Conv', [dy!.as(NCHW), w], { kernel_shape: kernelShape, pads: full }),
        NCHW,
      );
    }
    const y = g.op('ConvTranspose', [dy!.as(NCHW), outputsFirst(g, filter!)], {
      kernel_shape: kernelShape,
      strides,
      dilations,
      pads,
      output_padding: extra,
    });
    return new Value(g, type, y, NCHW);
  },
};

function isBlockwise({ kernel: [kh, kw], strides, pads, dilations }: ConvGeometry): boolean {
  const square = kh === kw && strides[0] === kh && strides[1] === kw && kh > 1;
  return square && pads.every((p) => p === 0) && dilations.every((d) => d === 1);
}

/**
 * The gradient of a convolution by its filter. Tap (i, j) is the product of the image, shifted by i rows
 * and j columns, with the output's gradient, summed over pixels. At stride 1 all taps are one matrix
 * product: of an image stacked under its shifts by rows, and of the gradient stacked under its shifts
 * by columns. So each is copied once for each row or column of the kernel, not once for each tap.
 */
const convFilterGradient: Operator = {
  name: 'Conv2DBackpropFilter',
  shapeBound: true,
  write(g, [x, dy], attributes, type) {
    const { kernel: kernelShape, strides, pads } = attributes as ConvGeometry;
    const [kh, kw] = kernelShape;
    const [top, left, bottom, right] = pads;
    const unpadded = pads.every((p) => p === 0);
    const image = unpadded
      ? x!.as(NCHW)
      : g.op('Pad', [x!.as(NCHW), g.ints([0, 0, top, left, 0, 0, bottom, right])]);
    const [batch, height, width, inChannels] = x!.type.shape as [number, number, number, number];
    const [, outHeight, outWidth, outChannels] = dy!.type.shape as [number, number, number, number];
    const shapes: FilterGradientShapes = {
      ...{ kh, kw, batch, inChannels, outChannels, outHeight, outWidth },
      rows: height + top + bottom,
      columns: width + left + right,
    };
    if (isBlockwise(attributes as ConvGeometry) && height === kh * outHeight && width === kw * outWidth) {
      return new Value(g, type, blockTaps(g, image, dy!.as(NCHW), shapes));
    }
    const dense = strides.every((n) => n === 1); // TensorFlow.js has no gradient of dilated convolutions
    const taps = dense
      ? stackedTaps(g, image, dy!.as(NCHW), shapes)
      : separateTaps(g, image, dy!.as(NCHW), shapes, strides);
    return new Value(g, type, taps);
  },
};

interface FilterGradientShapes {
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
 * Whichever has more channels is stacked by rows, which `Gather` copies once and on all threads; the
 * other one by columns, which takes a copy for each shift and another to join them.
 */
function stackedTaps(g: GraphWriter, image: string, dy: string, shapes: FilterGradientShapes): string {
  const { kh, kw, batch, inChannels, outChannels, rows, columns, outHeight, outWidth } = shapes;
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

/** With strides as long as the kernel: each tap is a channel of the image's blocks. */
function blockTaps(
  g: GraphWriter,
  image: string,
  dy: string,
  { kh, kw, batch, inChannels, outChannels, outHeight, outWidth }: FilterGradientShapes,
): string {
  const flat = (nchw: string, channels: number) =>
    g.op('Reshape', [rowsOf(g, nchw, channels, batch, outHeight, outWidth), g.ints([channels, -1])]);
  const blocks = flat(g.op('SpaceToDepth', [image], { blocksize: kh }), kh * kw * inChannels);
  const product = g.op('Gemm', [blocks, flat(dy, outChannels)], { transB: 1 });
  return g.op('Reshape', [product, g.ints([kh, kw, inChannels, outChannels])]);
}

/** With strides: one product for each tap. */
function separateTaps(
  g: GraphWriter,
  image: string,
  dy: string,
  { kh, kw, batch, inChannels, outChannels, outHeight, outWidth }: FilterGradientShapes,
  strides: readonly [number, number],
): string {
  const flat = (nchw: string, channels: number) =>
    g.op('Reshape', [rowsOf(g, nchw, channels, batch, outHeight, outWidth), g.ints([channels, -1])]);
  const gradient = flat(dy, outChannels);
  const taps = Array.from({ length: kh * kw }, (_, tap) => {
    const from = [Math.floor(tap / kw), tap % kw] as const;
    const to = [from[0] + (outHeight - 1) * strides[0] + 1, from[1] + (outWidth - 1) * strides[1] + 1];
    const pixels = g.op('Slice', [image, g.ints(from), g.ints(to), g.ints([2, 3]), g.ints(strides)]);
    return g.op('Gemm', [flat(pixels, inChannels), gradient], { transB: 1 });
  });
  const stacked = taps.length === 1 ? taps[0]! : g.op('Concat', taps, { axis: 0 });
  return g.op('Reshape', [stacked, g.ints([kh, kw, inChannels, outChannels])]);
}

interface Conv2DInputs {
  readonly x: tf.TensorInfo;
  readonly filter: tf.TensorInfo;
}

export const convKernels: readonly Kernel[] = [
  kernel<Conv2DInputs, ConvAttributes>('Conv2D', ({ inputs: { x, filter }, attrs, backend }) => {
    const info = infoOf('Conv2D', x.shape, filter.shape, attrs);
    return backend.record(convOperator, [x, filter], geometryOf(info), info.outShape, 'float32');
  }),
  kernel<
    Conv2DInputs & { bias?: tf.TensorInfo; preluActivationWeights?: tf.TensorInfo },
    ConvAttributes & { activation: string }
  >('FusedConv2D', ({ inputs: { x, filter, bias }, attrs, backend }) => {
    const { activation } = attrs;
    if (!(activation in activations)) {
      throw new UnsupportedKernelError('FusedConv2D', `activation "${activation}"`);
    }
    const info = infoOf('FusedConv2D', x.shape, filter.shape, attrs);
    const inputs = [x, filter, ...(bias ? [bias] : [])];
    return backend.record(
      convOperator,
      inputs,
      { ...geometryOf(info), activation },
      info.outShape,
      'float32',
    );
  }),
  kernel<{ dy: tf.TensorInfo; filter: tf.TensorInfo }, ConvAttributes & { inputShape: number[] }>(
    'Conv2DBackpropInput',
    ({ inputs: { dy, filter }, attrs, backend }) => {
      const info = infoOf('Conv2DBackpropInput', attrs.inputShape, filter.shape, attrs);
      const geometry = geometryOf(info);
      const { kernel: kernelShape, strides, pads } = geometry;
      const outputPadding = [0, 1].map((axis) => {
        const covered = (dy.shape[axis + 1]! - 1) * strides[axis]! + kernelShape[axis]!;
        return attrs.inputShape[axis + 1]! - covered + pads[axis]! + pads[axis + 2]!;
      });
      return backend.record(
        convInputGradient,
        [dy, filter],
        { ...geometry, outputPadding },
        attrs.inputShape,
        'float32',
      );
    },
  ),
  kernel<{ x: tf.TensorInfo; dy: tf.TensorInfo }, ConvAttributes & { filterShape: number[] }>(
    'Conv2DBackpropFilter',
    ({ inputs: { x, dy }, attrs, backend }) => {
      const info = infoOf('Conv2DBackpropFilter', x.shape, attrs.filterShape, attrs);
      return backend.record(convFilterGradient, [x, dy], geometryOf(info), attrs.filterShape, 'float32');
    },
  ),
];
