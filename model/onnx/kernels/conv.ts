import tf = require('@tensorflow/tfjs-core');

import { UnsupportedKernelError } from '../../errors.js';
import type { Operator } from '../operator.js';
import { NCHW, type Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import type { ConvGeometry } from './conv-geometry.js';
import { type Convolution, outputsFirst } from './convolve.js';
import { deferred } from './deferred.js';
import { DeferredConvolution } from './deferred-conv.js';
import { convFilterGradient } from './filter-gradient.js';
import { convInputGradient, InputGradient, type InputGradientAttributes } from './input-gradient.js';
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

interface ActivatedConvolution extends Convolution {
  readonly activation: Activation;
}
type ConvInputs = readonly [x: Value, filter: Value, ...bias: Value[]];

/** The bias, if there is one, is of shape `[O]`. */
const convOperator: Operator<ActivatedConvolution, ConvInputs> = {
  name: 'Conv2D',
  emit(g, [x, filter, ...biases], convolution, output) {
    const { geometry, activation } = convolution;
    const bias = biases.map((v) => v.plain);
    if (x.origin instanceof InputGradient && bias.length === 0 && activation === 'linear') {
      const composition = x.origin.composition(g, geometry, convolution.channels[1]);
      if (composition !== null) {
        return deferred(g, output, x.origin.throughUpConvolution(g, composition, filter.plain));
      }
    }
    if (activation !== 'sigmoid' && DeferredConvolution.fits(g, convolution)) {
      const weights = { filter: filter.plain, bias: bias[0] ?? null };
      return deferred(g, output, new DeferredConvolution(x, weights, convolution, activation === 'relu'));
    }
    const y = g.op('Conv', [x.as(NCHW), outputsFirst(g, filter.plain, convolution), ...bias], geometry);
    return output.value(activations[activation](g, y), NCHW);
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
      const attributes: InputGradientAttributes = {
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
