import * as tf from '@tensorflow/tfjs-core';
import { UnsupportedKernelError } from '../../errors.js';
import type { Operator, RecordAttributes } from '../record.js';
import { type GraphWriter, IOHW, NCHW, OIHW, Value } from '../writer.js';
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

/** Inputs: image, filter and, if there is one, bias of shape `[O]`. */
const convOperator: Operator = {
  name: 'Conv2D',
  write(g, [x, filter, bias], attributes, type) {
    const { kernel: kernelShape, strides, dilations, pads } = attributes as ConvGeometry;
    const inputs = [x!.as(NCHW), filter!.as(OIHW), ...(bias ? [bias.plain] : [])];
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
      const w = kh === 1 && kw === 1 ? filter!.as(IOHW) : g.reverse(filter!.as(IOHW), [2, 3]);
      return new Value(
        g,
        type,
        g.op('Conv', [dy!.as(NCHW), w], { kernel_shape: kernelShape, pads: full }),
        NCHW,
      );
    }
    const y = g.op('ConvTranspose', [dy!.as(NCHW), filter!.as(OIHW)], {
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
 * The gradient of a convolution by its filter: for each tap of the kernel, the product of the shifted
 * image with the output's gradient, summed over pixels, as one matrix product `[I, P]·[P, O]`.
 *
 * At stride 1 the gradient's rows are padded to the image's width. Then a tap's pixels are one
 * contiguous run of the flattened image, and cutting it out is a plain copy.
 */
const convFilterGradient: Operator = {
  name: 'Conv2DBackpropFilter',
  shapeBound: true,
  write(g, [x, dy], attributes, type) {
    const { kernel: kernelShape, strides, pads, dilations } = attributes as ConvGeometry;
    const [kh, kw] = kernelShape;
    const [batch, height, width, inChannels] = x!.type.shape as [number, number, number, number];
    const [, outHeight, outWidth, outChannels] = dy!.type.shape as [number, number, number, number];
    const [top, left, bottom, right] = pads;
    const rows = height + top + bottom;
    const columns = width + left + right;
    const unpadded = pads.every((p) => p === 0);
    const image = unpadded
      ? x!.as(NCHW)
      : g.op('Pad', [x!.as(NCHW), g.ints([0, 0, top, left, 0, 0, bottom, right])]);

    const taps: string[] = [];
    if (strides[0] === 1 && strides[1] === 1) {
      const run = batch * rows * columns - (kh - 1) * dilations[0] * columns - (kw - 1) * dilations[1];
      const spread = g.op('Pad', [
        dy!.as(NCHW),
        g.ints([0, 0, 0, 0, 0, 0, rows - outHeight, columns - outWidth]),
      ]);
      const gradient = cut(g, flatten(g, spread, outChannels, batch), 0, run);
      const flat = flatten(g, image, inChannels, batch);
      for (let i = 0; i < kh; i++) {
        for (let j = 0; j < kw; j++) {
          const from = i * dilations[0] * columns + j * dilations[1];
          taps.push(g.op('Gemm', [cut(g, flat, from, from + run), gradient], { transB: 1 }));
        }
      }
    } else {
      const gradient = flatten(g, dy!.as(NCHW), outChannels, batch);
      for (let i = 0; i < kh; i++) {
        for (let j = 0; j < kw; j++) {
          const from = [i * dilations[0], j * dilations[1]] as const;
          const to = [from[0] + (outHeight - 1) * strides[0] + 1, from[1] + (outWidth - 1) * strides[1] + 1];
          const tap = g.op('Slice', [image, g.ints(from), g.ints(to), g.ints([2, 3]), g.ints(strides)]);
          taps.push(g.op('Gemm', [flatten(g, tap, inChannels, batch), gradient], { transB: 1 }));
        }
      }
    }
    const stacked = taps.length === 1 ? taps[0]! : g.op('Concat', taps, { axis: 0 });
    return new Value(g, type, g.op('Reshape', [stacked, g.ints([kh, kw, inChannels, outChannels])]));
  },
};

/** `[N, C, H, W]` as `[C, N·H·W]`. */
function flatten(g: GraphWriter, nchw: string, channels: number, batch: number): string {
  const channelsFirst = batch === 1 ? nchw : g.op('Transpose', [nchw], { perm: [1, 0, 2, 3] });
  return g.op('Reshape', [channelsFirst, g.ints([channels, -1])]);
}

function cut(g: GraphWriter, matrix: string, from: number, to: number): string {
  return g.op('Slice', [matrix, g.ints([from]), g.ints([to]), g.ints([1])]);
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
