import tf = require('@tensorflow/tfjs-core');

import type { Attributes } from '../../onnx/proto.js';
import { sizeOf } from '../constant.js';
import type { NodeContext } from '../node-context.js';
import { rawNode } from '../raw-node.js';
import type { GraphValue, ImageValue } from '../values.js';
import { binary, pairwise, variadic } from './pairwise.js';
import { perChannel, perChannelOf, weightOf } from './weights.js';

type Rule = (c: NodeContext) => GraphValue;

/** A function of each number. */
function unary(
  compute: (x: tf.Tensor4D, c: NodeContext) => tf.Tensor,
  attributes: readonly string[] = [],
): Rule {
  return (c) =>
    c.emit({
      images: [c.image(0)],
      parameters: attributes.map((name) => c.attribute(name)),
      compute: ([x]) => compute(x!, c) as tf.Tensor4D,
    });
}

/** One that TensorFlow.js does not have. */
function raw(attributes: (c: NodeContext) => Attributes = () => ({})): Rule {
  return (c) => {
    const { name, opType } = c.node;
    const own = attributes(c);
    return c.emit({
      images: [c.image(0)],
      parameters: own,
      compute: ([x]) =>
        rawNode({ name, opType, attributes: own, inputs: ['image'], isElementwise: true }, [x!], x!.shape),
    });
  };
}

/** The channel's axis as a node counts it, which must be what it works along. */
function isChannelAxis(c: NodeContext, axis: number): boolean {
  const { axes } = c.image(0);
  return axes[axis < 0 ? axis + axes.length : axis] === 'c';
}

function softmax(compute: (x: tf.Tensor4D) => tf.Tensor4D): Rule {
  return (c) => {
    const axis = c.int('axis', c.opset < 13 ? 1 : -1);
    const { axes } = c.image(0);
    // up to version 12, all dimensions from the axis on are one
    const isLast = axis === -1 || axis === axes.length - 1;
    if (!isChannelAxis(c, axis) || (c.opset < 13 && !isLast)) {
      c.inexact('it divides by a sum over positions of the tile; only one over channels is exact');
    }
    return c.emit({ images: [c.image(0)], ending: 'softmax', compute: ([x]) => compute(x!) });
  };
}

function batchNormalization(c: NodeContext): ImageValue {
  if (c.int('training_mode', 0) === 1) c.inexact('it normalises by the statistics of the tile');
  const x = c.image(0);
  if (x.axes[1] !== 'c') c.unsupported('its channels are not the second dimension');
  const epsilon = c.float('epsilon', 1e-5);
  c.disregard('momentum');
  const weights = [1, 2, 3, 4].map((i) => weightOf(perChannelOf(c, i, x.channels)));
  return c.emit({
    images: [x],
    weights,
    parameters: { epsilon },
    compute: ([image], [scale, offset, mean, variance]) =>
      tf.batchNorm(
        image!,
        mean as tf.Tensor1D,
        variance as tf.Tensor1D,
        offset as tf.Tensor1D,
        scale as tf.Tensor1D,
        epsilon,
      ),
  });
}

function clip(c: NodeContext): ImageValue {
  const bound = (i: number, name: string, otherwise: number) => {
    const stated = c.float(name, otherwise);
    return c.constant(i)?.values[0] ?? stated;
  };
  const least = bound(1, 'min', -3.4028234663852886e38);
  const most = bound(2, 'max', 3.4028234663852886e38);
  return c.emit({
    images: [c.image(0)],
    parameters: { least, most },
    compute: ([x]) => tf.clipByValue(x!, least, most),
  });
}

function prelu(c: NodeContext): ImageValue {
  const x = c.image(0);
  const slope = perChannel(c, c.required(1), x);
  const [count = 1] = slope.shape;
  if (count !== 1 && count !== x.channels) c.unsupported(`it has ${count} slopes for ${x.channels} channels`);
  return c.emit({
    images: [x],
    weights: [slope],
    compute: ([image], [alpha]) => tf.prelu(image!, alpha!) as tf.Tensor4D,
  });
}

function power(c: NodeContext): GraphValue {
  const exponent = c.values[1]?.kind === 'constant' ? c.required(1) : null;
  if (exponent && sizeOf(exponent.dims) === 1 && exponent.values[0] === 2) {
    return c.emit({ images: [c.image(0)], parameters: 2, compute: ([x]) => tf.square(x!) });
  }
  return pairwise(c, 0, 1, tf.pow);
}

function sigmoid(c: NodeContext): ImageValue {
  return c.emit({ images: [c.image(0)], ending: 'sigmoid', compute: ([x]) => tf.sigmoid(x!) });
}

const geluOf = (x: tf.Tensor4D, isTanh: boolean): tf.Tensor => {
  if (isTanh) {
    const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI));
    return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
  }
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
};

function gelu(c: NodeContext): ImageValue {
  const approximate = c.string('approximate', 'none');
  if (approximate !== 'none' && approximate !== 'tanh')
    c.unsupported(`its approximation is "${approximate}"`);
  const isTanh = approximate === 'tanh';
  return c.emit({
    images: [c.image(0)],
    parameters: approximate,
    compute: ([x]) => geluOf(x!, isTanh) as tf.Tensor4D,
  });
}

const alpha =
  (otherwise: number) =>
  (c: NodeContext): Attributes => ({ alpha: { float: c.float('alpha', otherwise) } });

/** Operators that compute each number, or each px, from the same one. */
export const pointwise: Readonly<Record<string, Rule>> = {
  Relu: unary((x) => tf.relu(x)),
  LeakyRelu: unary((x, c) => tf.leakyRelu(x, c.float('alpha', 0.01)), ['alpha']),
  PRelu: prelu,
  Sigmoid: sigmoid,
  Tanh: unary((x) => tf.tanh(x)),
  Softplus: unary((x) => tf.softplus(x)),
  Exp: unary((x) => tf.exp(x)),
  Log: unary((x) => tf.log(x)),
  Sqrt: unary((x) => tf.sqrt(x)),
  Abs: unary((x) => tf.abs(x)),
  Neg: unary((x) => tf.neg(x)),
  Sign: unary((x) => tf.sign(x)),
  Floor: unary((x) => tf.floor(x)),
  Ceil: unary((x) => tf.ceil(x)),
  Round: unary((x) => tf.round(x)),
  Reciprocal: unary((x) => tf.reciprocal(x)),
  Erf: unary((x) => tf.erf(x)),
  Gelu: gelu,
  'com.microsoft:Gelu': gelu,
  'com.microsoft:QuickGelu': unary(
    (x, c) => tf.mul(x, tf.sigmoid(tf.mul(x, c.float('alpha', 1.702)))),
    ['alpha'],
  ),
  Swish: unary((x, c) => tf.mul(x, tf.sigmoid(tf.mul(x, c.float('alpha', 1)))), ['alpha']),
  Elu: raw(alpha(1)),
  Celu: raw(alpha(1)),
  Selu: raw((c) => ({
    alpha: { float: c.float('alpha', 1.6732631921768188) },
    gamma: { float: c.float('gamma', 1.0507010221481323) },
  })),
  ThresholdedRelu: raw(alpha(1)),
  HardSigmoid: raw((c) => ({ ...alpha(0.2)(c), beta: { float: c.float('beta', 0.5) } })),
  HardSwish: raw(),
  Mish: raw(),
  Softsign: raw(),
  Sin: raw(),
  Cos: raw(),
  Atan: raw(),
  Clip: clip,
  Pow: power,
  Add: binary(tf.add),
  Sub: binary(tf.sub),
  Mul: binary(tf.mul),
  Div: binary(tf.div),
  Max: variadic(tf.maximum),
  Min: variadic(tf.minimum),
  Sum: variadic(tf.add),
  BatchNormalization: batchNormalization,
  Softmax: softmax((x) => tf.softmax(x)),
  LogSoftmax: softmax((x) => tf.log(tf.softmax(x))),
};
