import tf = require('@tensorflow/tfjs-core');

import { ONE } from '../../network/axis/rational.js';
import type { AxisStep } from '../../network/axis/steps.js';
import type { NodeContext } from '../node-context.js';
import { rawNode } from '../raw-node.js';
import { dimsOf, type GraphValue, type ImageValue, INPUT_ID } from '../values.js';
import { perChannelOf, weightOf } from './weights.js';

type Reduction = (x: tf.Tensor4D, axes: number[]) => tf.Tensor;

/** One px, made of all of them. */
const whole: AxisStep = {
  scale: ONE,
  at: () => ({ length: 1, first: () => 0, last: () => 0, shift: 0 }),
};

const OF_TILES =
  'it computes with all px of a tile (as global pooling, squeeze-and-excitation and attention do), so that its result depends on the tile';

function reduction(compute: Reduction): (c: NodeContext) => ImageValue {
  return (c) => {
    const x = c.image(0);
    const stated = c.list('axes', 1) ?? [];
    const isNothing = stated.length === 0 && c.int('noop_with_empty_axes', 0) === 1;
    c.disregard('noop_with_empty_axes');
    const axes = stated.length > 0 ? stated : [...x.axes.keys()];
    const reduced = axes.map((axis) => x.axes[axis < 0 ? axis + x.axes.length : axis]);
    const keeps = c.int('keepdims', 1) === 1;
    if (isNothing) c.unsupported('it reduces no dimension');
    if (reduced.join() === 'c') {
      return c.emit({
        images: [x],
        axes: keeps ? x.axes : x.axes.filter((axis) => axis !== 'c'),
        channels: 1,
        compute: ([image]) => compute(image!, [3]) as tf.Tensor4D,
      });
    }
    const inexact = c.inexactUnlessApproximate(withRemedy(OF_TILES, x));
    if (!keeps || reduced.toSorted().join() !== 'h,w')
      return c.unsupported(`it reduces [${reduced.join(', ')}]`);
    return mean(c, x, compute, inexact);
  };
}

const mean = (c: NodeContext, x: ImageValue, compute: Reduction, inexact: string): ImageValue =>
  c.emit({
    images: [x],
    steps: [whole, whole],
    inexact,
    compute: ([image]) => compute(image!, [1, 2]) as tf.Tensor4D,
  });

const globalPool =
  (compute: Reduction) =>
  (c: NodeContext): ImageValue => {
    const x = c.nchw(0);
    return mean(c, x, compute, c.inexactUnlessApproximate(withRemedy(OF_TILES, x)));
  };

/** What else to do where the network normalises its image, which is what a card is for. */
const OF_IMAGE =
  "; if it normalises the image, export the network without it, and have the model's card do it, by its step zero_mean_unit_variance";

const withRemedy = (reason: string, { id }: ImageValue): string =>
  id === INPUT_ID ? reason + OF_IMAGE : reason;

const OF_STATISTICS =
  'it normalises by the statistics of a tile, which differ from those of the whole image; batch normalisation is exact';

function instanceNormalization(c: NodeContext): GraphValue {
  const value = c.values[0];
  const isImage = value?.kind === 'image';
  const inexact = c.inexactUnlessApproximate(isImage ? withRemedy(OF_STATISTICS, value) : OF_STATISTICS);
  const image = value?.kind === 'mixed' ? value.image : c.nchw(0);
  const groups = value?.kind === 'mixed' ? value.dims[1]! : image.channels;
  if (value?.kind === 'mixed' && (value.parts || value.dims.length !== 3 || image.channels % groups !== 0))
    c.unsupported(`it normalises a map of ${image.channels} channels as [${value.dims}]`);
  const [scale, offset] = [perChannelOf(c, 1, groups), perChannelOf(c, 2, groups)];
  const attributes = { epsilon: { float: c.float('epsilon', 1e-5) } };
  const { name } = c.node;
  if (value?.kind !== 'mixed') {
    return c.emit({
      images: [image],
      weights: [weightOf(scale), weightOf(offset)],
      parameters: attributes,
      inexact,
      compute: ([x], weights) =>
        rawNode(
          { name, opType: 'InstanceNormalization', attributes, inputs: ['image', 'plain', 'plain'] },
          [x!, ...weights],
          x!.shape,
        ),
    });
  }
  // a group normalisation, which PyTorch writes as one of instances between two reshapes
  const normalised = c.emit({
    images: [image],
    weights: [weightOf(scale), weightOf(offset)],
    parameters: { ...attributes, groups },
    inexact,
    compute: ([x], weights) =>
      rawNode(
        {
          name,
          opType: 'GroupNormalization',
          attributes: { ...attributes, num_groups: groups },
          inputs: ['image', 'plain', 'plain'],
        },
        [x!, ...weights],
        x!.shape,
      ),
  });
  return { ...value, image: normalised };
}

/** Normalises the channels of each px. */
function layerNormalization(c: NodeContext): ImageValue {
  const x = c.image(0);
  const axis = c.int('axis', -1);
  const last = x.axes.length - 1;
  if ((axis !== -1 && axis !== last) || x.axes[last] !== 'c' || x.axes.join() !== 'n,h,w,c') {
    c.inexact(OF_STATISTICS);
  }
  c.only('stash_type', 1);
  const scale = perChannelOf(c, 1, x.channels);
  const offset = c.constant(2) && perChannelOf(c, 2, x.channels);
  const attributes = { axis: -1, epsilon: { float: c.float('epsilon', 1e-5) } };
  const inputs = ['image', 'plain', ...(offset ? ['plain' as const] : [])] as const;
  return c.emit({
    images: [x],
    weights: [weightOf(scale), ...(offset ? [weightOf(offset)] : [])],
    parameters: attributes,
    compute: ([image], weights) =>
      rawNode(
        { name: c.node.name, opType: 'LayerNormalization', attributes, inputs, isChannelsLast: true },
        [image!, ...weights],
        image!.shape,
      ),
  });
}

/** A matrix that the channels of each px are multiplied by: a convolution of 1×1. */
function matMul(c: NodeContext): ImageValue {
  const x = c.image(0);
  if (c.values[1]?.kind !== 'constant') c.inexact(OF_TILES);
  const matrix = c.required(1);
  if (x.axes.at(-1) !== 'c' || matrix.dims.length !== 2 || matrix.dims[0] !== x.channels) {
    c.unsupported(
      `it multiplies [${dimsOf(x)}] by [${matrix.dims}]; only channels that come last are supported`,
    );
  }
  const [inChannels, outChannels] = matrix.dims as [number, number];
  return c.emit({
    images: [x],
    channels: outChannels,
    weights: [{ ...weightOf(matrix), shape: [1, 1, inChannels, outChannels] }],
    compute: ([image], [filter]) => tf.conv2d(image!, filter as tf.Tensor4D, 1, 'valid'),
  });
}

function argMax(c: NodeContext): ImageValue {
  const x = c.image(0);
  const axis = c.int('axis', 0);
  if (x.axes[axis < 0 ? axis + x.axes.length : axis] !== 'c') c.inexact('it compares positions of the tile');
  const keeps = c.int('keepdims', 1) === 1;
  c.only('select_last_index', 0);
  return c.emit({
    images: [x],
    axes: keeps ? x.axes : x.axes.filter((each) => each !== 'c'),
    channels: 1,
    ending: 'argmax',
    compute: ([image]) => tf.cast(tf.expandDims(tf.argMax(image!, 3), 3), 'float32') as tf.Tensor4D,
  });
}

const squared: Reduction = (x, axes) => tf.sqrt(tf.sum(tf.square(x), axes, true));

/** Operators that sum over channels, over positions, or over both. */
export const reduce: Readonly<Record<string, (c: NodeContext) => GraphValue>> = {
  ReduceMean: reduction((x, axes) => tf.mean(x, axes, true)),
  ReduceSum: reduction((x, axes) => tf.sum(x, axes, true)),
  ReduceMax: reduction((x, axes) => tf.max(x, axes, true)),
  ReduceMin: reduction((x, axes) => tf.min(x, axes, true)),
  ReduceL2: reduction(squared),
  GlobalAveragePool: globalPool((x, axes) => tf.mean(x, axes, true)),
  GlobalMaxPool: globalPool((x, axes) => tf.max(x, axes, true)),
  InstanceNormalization: instanceNormalization,
  GroupNormalization: (c) => c.inexact(OF_STATISTICS),
  LayerNormalization: layerNormalization,
  MatMul: matMul,
  ArgMax: argMax,
};
