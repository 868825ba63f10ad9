import * as tf from '@tensorflow/tfjs-core';
import { UnsupportedKernelError } from '../../errors.js';
import { blockedFilter } from '../blocked.js';
import { NCHWC } from '../proto.js';
import type { Operator } from '../record.js';
import { BLOCKED, type GraphWriter, NCHW, Value } from '../writer.js';
import { type ConvGeometry, convFilterGradient, isBlockwise } from './filter-gradient.js';
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
 * A filter `[H, W, I, O]` turned by 180°, which its input's gradient is convolved with. Taps are contiguous
 * blocks, so gathering them moves blocks, and what is left are transpositions of matrices. ONNX Runtime
 * is quick at both, and slow at reversing or permuting single values; which it would do if it saw a
 * Transpose here, that it could join with its neighbours.
 *
 * @param order `iot` for `[I, O, H·W]`, `toi` for `[H·W, O, I]`
 */
function turned(g: GraphWriter, filter: Value, order: 'iot' | 'toi'): string {
  const [kh, kw, inChannels, outChannels] = filter.type.shape as [number, number, number, number];
  const taps = kh * kw;
  const last = Array.from({ length: taps }, (_, tap) => taps - 1 - tap);
  const matrices = g.op('Reshape', [filter.plain, g.ints([taps, inChannels, outChannels])]);
  return g.op('Einsum', [g.op('Gather', [matrices, g.ints(last)], { axis: 0 })], {
    equation: `tio->${order}`,
  });
}

/** A filter `[H, W, I, O]` as `[O, I, H, W]`, which ONNX convolves with: by two transpositions of matrices. */
function outputsFirst(g: GraphWriter, filter: Value): string {
  const [kh, kw, inChannels, outChannels] = filter.type.shape as [number, number, number, number];
  const taps = kh * kw;
  const matrix = g.op('Reshape', [filter.plain, g.ints([taps * inChannels, outChannels])]);
  const rows = g.op('Transpose', [matrix], { perm: [1, 0] });
  const blocks = g.op('Reshape', [rows, g.ints([outChannels, taps, inChannels])]);
  const moved = g.op('Einsum', [blocks], { equation: 'oti->oit' });
  return g.op('Reshape', [moved, g.ints([outChannels, inChannels, kh, kw])]);
}

/** Whether a convolution from so many channels to so many can be computed in blocks of them. */
function inBlocks({ block }: GraphWriter, from: number, to: number): boolean {
  return block !== null && from % block === 0 && to % block === 0;
}

/**
 * A convolution in blocks of channels.
 * @param filter `[H·W, I, O]`
 */
function blockedConv(
  g: GraphWriter,
  x: Value,
  filter: string,
  bias: readonly string[],
  { kernel: kernelShape, strides, dilations, pads }: ConvGeometry,
  channels: readonly [inChannels: number, outChannels: number],
): string {
  const inputs = [x.as(BLOCKED), blockedFilter(g, filter, kernelShape, channels), ...bias];
  return g.op(`${NCHWC}:Conv`, inputs, { kernel_shape: kernelShape, strides, dilations, pads });
}

/** Inputs: image, filter and, if there is one, bias of shape `[O]`. */
const convOperator: Operator = {
  name: 'Conv2D',
  write(g, [x, filter, bias], attributes, type) {
    const geometry = attributes as ConvGeometry;
    const { kernel: kernelShape, strides, dilations, pads } = geometry;
    const [kh, kw, inChannels, outChannels] = filter!.type.shape as [number, number, number, number];
    const activate = activations[(attributes.activation as string | undefined) ?? 'linear']!;
    if (inBlocks(g, inChannels, outChannels)) {
      const flat = g.op('Reshape', [filter!.plain, g.ints([kh * kw, inChannels, outChannels])]);
      const y = blockedConv(g, x!, flat, bias ? [bias.plain] : [], geometry, [inChannels, outChannels]);
      return new Value(g, type, activate(g, y), BLOCKED);
    }
    const inputs = [x!.as(NCHW), outputsFirst(g, filter!), ...(bias ? [bias.plain] : [])];
    const y = g.op('Conv', inputs, { kernel_shape: kernelShape, strides, dilations, pads });
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
    const [, , inChannels, outChannels] = filter!.type.shape as [number, number, number, number];
    if (isBlockwise(geometry) && extra.every((n) => n === 0)) {
      // [kh, kw, I, O] -> [I, kh, kw, O] -> [I·kh·kw, O, 1, 1], the channel order of DepthToSpace CRD
      const rows = g.op('Transpose', [filter!.plain], { perm: [2, 0, 1, 3] });
      const pointwise = g.op('Reshape', [rows, g.ints([inChannels * kh * kw, outChannels, 1, 1])]);
      const blocks = g.op('Conv', [dy!.as(NCHW), pointwise], { kernel_shape: [1, 1] });
      return new Value(g, type, g.op('DepthToSpace', [blocks], { blocksize: kh, mode: 'CRD' }), NCHW);
    }
    const unit = strides[0] === 1 && strides[1] === 1 && dilations[0] === 1 && dilations[1] === 1;
    const [top, left, bottom, right] = pads;
    if (unit && Math.max(top, bottom) < kh && Math.max(left, right) < kw) {
      const full = [kh - 1 - top, kw - 1 - left, kh - 1 - bottom, kw - 1 - right] as const;
      if (inBlocks(g, outChannels, inChannels)) {
        const channels = [outChannels, inChannels] as const;
        const y = blockedConv(g, dy!, turned(g, filter!, 'toi'), [], { ...geometry, pads: full }, channels);
        return new Value(g, type, y, BLOCKED);
      }
      const w = g.op('Reshape', [turned(g, filter!, 'iot'), g.ints([inChannels, outChannels, kh, kw])]);
      const y = g.op('Conv', [dy!.as(NCHW), w], { kernel_shape: kernelShape, pads: full });
      return new Value(g, type, y, NCHW);
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
