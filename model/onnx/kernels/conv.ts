import * as tf from '@tensorflow/tfjs-core';
import { UnsupportedKernelError } from '../../errors.js';
import { blockedFilter } from '../blocked.js';
import type { Operator } from '../operator.js';
import { NCHWC } from '../proto.js';
import { BLOCKED, NCHW, type Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import { type ConvGeometry, isBlockwise } from './conv-geometry.js';
import { convFilterGradient } from './filter-gradient.js';
import {
  type Channels,
  type Convolution,
  deferred,
  FrozenConvolution,
  UpConvolution,
} from './frozen-conv.js';
import { type Kernel, kernel, type Tensors } from './kernel.js';

/** What the kernels of convolutions and of their gradients have in common. */
type ConvAttrs = Omit<tf.Conv2DAttrs, 'dilations'> & Partial<Pick<tf.Conv2DAttrs, 'dilations'>>;

function convolutionOf(
  name: string,
  xShape: readonly number[],
  filterShape: readonly number[],
  attrs: ConvAttrs,
): Convolution & { readonly outShape: readonly number[] } {
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
  const { top, left, bottom, right } = info.padInfo;
  const geometry: ConvGeometry = {
    kernel_shape: [info.filterHeight, info.filterWidth],
    strides: [info.strideHeight, info.strideWidth],
    dilations: [info.dilationHeight, info.dilationWidth],
    pads: [top, left, bottom, right],
  };
  return { geometry, channels: [info.inChannels, info.outChannels], outShape: info.outShape };
}

const activations = {
  linear: (_g: GraphWriter, x: string) => x,
  relu: (g: GraphWriter, x: string) => g.op('Relu', [x]),
  sigmoid: (g: GraphWriter, x: string) => g.op('Sigmoid', [x]),
};
type Activation = keyof typeof activations;
const isSupported = (activation: string): activation is Activation => Object.hasOwn(activations, activation);

/**
 * A filter `[H, W, I, O]` rotated by 180°, which its input's gradient is convolved with. Taps are contiguous
 * blocks, so gathering them moves blocks, and transpositions of matrices remain. ONNX Runtime is quick at
 * both, and slow at reversing or permuting single values, which is what it makes of a Transpose here: it merges
 * that with its neighbours.
 *
 * @param order `iot` for `[I, O, H·W]`, `toi` for `[H·W, O, I]`
 */
function rotate(g: GraphWriter, filter: Value, convolution: Convolution, order: 'iot' | 'toi'): string {
  const [kh, kw] = convolution.geometry.kernel_shape;
  const taps = kh * kw;
  const last = Array.from({ length: taps }, (_, tap) => taps - 1 - tap);
  const matrices = g.op('Reshape', [filter.plain, g.ints([taps, ...convolution.channels])]);
  return g.op('Einsum', [g.op('Gather', [matrices, g.ints(last)], { axis: 0 })], {
    equation: `tio->${order}`,
  });
}

/** A filter `[H, W, I, O]` as `[O, I, H, W]`, which ONNX convolves with: by two transpositions of matrices. */
function outputsFirst(g: GraphWriter, filter: Value, { geometry, channels }: Convolution): string {
  const [kh, kw] = geometry.kernel_shape;
  const [inChannels, outChannels] = channels;
  const taps = kh * kw;
  const matrix = g.op('Reshape', [filter.plain, g.ints([taps * inChannels, outChannels])]);
  const rows = g.op('Transpose', [matrix], { perm: [1, 0] });
  const blocks = g.op('Reshape', [rows, g.ints([outChannels, taps, inChannels])]);
  const moved = g.op('Einsum', [blocks], { equation: 'oti->oit' });
  return g.op('Reshape', [moved, g.ints([outChannels, inChannels, kh, kw])]);
}

/** Whether a convolution between these numbers of channels can be computed in blocks of them. */
function fitsBlocks({ block }: GraphWriter, channels: Channels): boolean {
  return block !== null && channels.every((count) => count % block === 0);
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
  { geometry, channels }: Convolution,
): string {
  const inputs = [x.as(BLOCKED), blockedFilter(g, filter, geometry.kernel_shape, channels), ...bias];
  return g.op(`${NCHWC}:Conv`, inputs, geometry);
}

interface ActivatedConvolution extends Convolution {
  readonly activation: Activation;
}
type ConvInputs = readonly [x: Value, filter: Value, ...bias: Value[]];

/** The bias, if there is one, is of shape `[O]`. */
const convOperator: Operator<ActivatedConvolution, ConvInputs> = {
  name: 'Conv2D',
  emit(g, [x, filter, ...biases], convolution, output) {
    const { geometry, channels, activation } = convolution;
    const bias = biases.map((v) => v.plain);
    const activate = activations[activation];
    if (activation !== 'sigmoid' && FrozenConvolution.fits(g, convolution)) {
      const weights = { filter: filter.plain, bias: bias[0] ?? null };
      return deferred(g, output, new FrozenConvolution(x, weights, convolution, activation === 'relu'));
    }
    if (fitsBlocks(g, channels)) {
      const [kh, kw] = geometry.kernel_shape;
      const flat = g.op('Reshape', [filter.plain, g.ints([kh * kw, ...channels])]);
      return output.value(activate(g, blockedConv(g, x, flat, bias, convolution)), BLOCKED);
    }
    const y = g.op('Conv', [x.as(NCHW), outputsFirst(g, filter, convolution), ...bias], geometry);
    return output.value(activate(g, y), NCHW);
  },
};

interface InputGradient extends Convolution {
  /** Px at the input's bottom and right that no window covers. */
  readonly outputPadding: readonly [number, number];
}

/**
 * The gradient of a convolution by its input; also what an up-convolution computes. Three forms:
 * - stride equal to the kernel, no padding: each pixel yields a separate block, so a 1×1 convolution and
 *   DepthToSpace. Unlike ConvTranspose, this gives the same bits at every size.
 * - stride 1: a convolution of the padded gradient with the rotated filter.
 * - anything else: ConvTranspose.
 */
const convInputGradient: Operator<InputGradient, readonly [dy: Value, filter: Value]> = {
  name: 'Conv2DBackpropInput',
  emit(g, [dy, filter], attributes, output) {
    const { geometry, channels, outputPadding } = attributes;
    const { kernel_shape, strides, pads, dilations } = geometry;
    const [kh, kw] = kernel_shape;
    const [inChannels, outChannels] = channels;
    if (isBlockwise(geometry) && outputPadding.every((n) => n === 0)) {
      const between: Channels = [outChannels, inChannels];
      if (UpConvolution.fits(g, between)) {
        const weights = { filter: filter.plain, bias: null };
        return deferred(g, output, new UpConvolution(dy, weights, kh, between));
      }
      // [kh, kw, I, O] -> [I, kh, kw, O] -> [I·kh·kw, O, 1, 1], the channel order of DepthToSpace CRD
      const rows = g.op('Transpose', [filter.plain], { perm: [2, 0, 1, 3] });
      const pointwise = g.op('Reshape', [rows, g.ints([inChannels * kh * kw, outChannels, 1, 1])]);
      const blocks = g.op('Conv', [dy.as(NCHW), pointwise], { kernel_shape: [1, 1] });
      return output.value(g.op('DepthToSpace', [blocks], { blocksize: kh, mode: 'CRD' }), NCHW);
    }
    const isDense = [...strides, ...dilations].every((n) => n === 1);
    const [top, left, bottom, right] = pads;
    if (isDense && Math.max(top, bottom) < kh && Math.max(left, right) < kw) {
      const full = [kh - 1 - top, kw - 1 - left, kh - 1 - bottom, kw - 1 - right] as const;
      if (fitsBlocks(g, channels)) {
        const reversed: Convolution = {
          geometry: { ...geometry, pads: full },
          channels: [outChannels, inChannels],
        };
        const y = blockedConv(g, dy, rotate(g, filter, attributes, 'toi'), [], reversed);
        return output.value(y, BLOCKED);
      }
      const rotated = rotate(g, filter, attributes, 'iot');
      const w = g.op('Reshape', [rotated, g.ints([inChannels, outChannels, kh, kw])]);
      return output.value(g.op('Conv', [dy.as(NCHW), w], { kernel_shape, pads: full }), NCHW);
    }
    const inputs = [dy.as(NCHW), outputsFirst(g, filter, attributes)];
    const y = g.op('ConvTranspose', inputs, { ...geometry, output_padding: outputPadding });
    return output.value(y, NCHW);
  },
};

export const convKernels: readonly Kernel[] = [
  kernel<Tensors<'x' | 'filter'>, tf.Conv2DAttrs>('Conv2D', ({ inputs: { x, filter }, attrs, backend }) => {
    const { outShape, ...convolution } = convolutionOf('Conv2D', x.shape, filter.shape, attrs);
    const attributes: ActivatedConvolution = { ...convolution, activation: 'linear' };
    return backend.record(convOperator, [x, filter], attributes, outShape, 'float32');
  }),
  kernel<Tensors<'x' | 'filter'> & Partial<Tensors<'bias'>>, tf.FusedConv2DAttrs>(
    'FusedConv2D',
    ({ inputs: { x, filter, bias }, attrs, backend }) => {
      const { activation } = attrs;
      if (!isSupported(activation)) {
        throw new UnsupportedKernelError('FusedConv2D', `activation "${activation}"`);
      }
      const { outShape, ...convolution } = convolutionOf('FusedConv2D', x.shape, filter.shape, attrs);
      const attributes: ActivatedConvolution = { ...convolution, activation };
      const inputs = [x, filter, ...(bias ? [bias] : [])] as const;
      return backend.record(convOperator, inputs, attributes, outShape, 'float32');
    },
  ),
  kernel<Tensors<'dy' | 'filter'>, tf.Conv2DBackpropInputAttrs>(
    'Conv2DBackpropInput',
    ({ inputs: { dy, filter }, attrs, backend }) => {
      const { inputShape } = attrs;
      const { geometry, channels } = convolutionOf('Conv2DBackpropInput', inputShape, filter.shape, attrs);
      const { kernel_shape, strides, pads } = geometry;
      const uncovered = (axis: 0 | 1): number => {
        const covered = (dy.shape[axis + 1]! - 1) * strides[axis] + kernel_shape[axis];
        return inputShape[axis + 1]! - covered + pads[axis] + pads[axis + 2]!;
      };
      const attributes: InputGradient = {
        geometry,
        channels,
        outputPadding: [uncovered(0), uncovered(1)],
      };
      return backend.record(convInputGradient, [dy, filter], attributes, inputShape, 'float32');
    },
  ),
  kernel<Tensors<'x' | 'dy'>, tf.Conv2DBackpropFilterAttrs>(
    'Conv2DBackpropFilter',
    ({ inputs: { x, dy }, attrs, backend }) => {
      const { filterShape } = attrs;
      const { geometry } = convolutionOf('Conv2DBackpropFilter', x.shape, filterShape, attrs);
      return backend.record(convFilterGradient, [x, dy], geometry, filterShape, 'float32');
    },
  ),
];
