import * as tf from '@tensorflow/tfjs-core';
import { UnsupportedKernelError } from '../../errors.js';
import type { Operator } from '../record.js';
import { NCHW, Value } from '../writer.js';
import { type Kernel, kernel, type Unary } from './kernel.js';
import { cast } from './shape.js';

interface ReduceAttributes {
  readonly axis?: number | number[];
  /** What TensorFlow.js calls the axes of `Max` alone. */
  readonly reductionIndices?: number | number[];
  readonly keepDims: boolean;
}

/** Reductions over NCHW need no Transpose where what remains keeps its order. */
function reducer(opType: string): Operator {
  return {
    name: opType,
    write(g, [x], attributes, type) {
      const axes = attributes.axes as readonly number[];
      const keepdims = attributes.keepDims === true;
      const ordered = keepdims || axes.includes(3) || axes.length >= 3;
      const nchw = x!.rank === 4 && x!.has(NCHW) && ordered;
      const held = nchw ? x!.as(NCHW) : x!.plain;
      const name = g.op(
        opType,
        [
          x!.type.dtype === type.dtype ? held : g.cast(held, type.dtype),
          g.ints(nchw ? axes.map((axis) => NCHW.indexOf(axis)) : axes),
        ],
        { keepdims: keepdims ? 1 : 0 },
      );
      return new Value(g, type, name, nchw && keepdims ? NCHW : undefined);
    },
  };
}

function reduction(name: string, opType: string, output: (dtype: tf.DataType) => tf.DataType): Kernel {
  const operator = reducer(opType);
  return kernel<Unary, ReduceAttributes>(name, ({ inputs: { x }, attrs, backend }) => {
    const dtype = output(x.dtype);
    const axes = tf.util.parseAxisParam((attrs.axis ?? attrs.reductionIndices)!, x.shape);
    const [kept] = tf.backend_util.computeOutAndReduceShapes(x.shape, axes);
    const shape = attrs.keepDims ? tf.backend_util.expandShapeToKeepDim(kept, axes) : kept;
    if (axes.length === 0) return cast(backend, x, dtype);
    return backend.record(operator, [x], { axes, keepDims: attrs.keepDims }, shape, dtype);
  });
}

function extreme(name: 'ArgMax' | 'ArgMin'): Kernel {
  const operator: Operator = {
    name,
    write(g, [x], attributes, type) {
      const axis = attributes.axis as number;
      const nchw = x!.rank === 4 && x!.has(NCHW) && axis === 3;
      const found = g.op(name, [nchw ? x!.as(NCHW) : x!.plain], { axis: nchw ? 1 : axis, keepdims: 0 });
      return new Value(g, type, g.cast(found, 'int32'));
    },
  };
  return kernel<Unary, { axis: number }>(name, ({ inputs: { x }, attrs, backend }) => {
    const [axis] = tf.util.parseAxisParam(attrs.axis, x.shape);
    const shape = x.shape.filter((_, i) => i !== axis);
    return backend.record(operator, [x], { axis: axis! }, shape, 'int32');
  });
}

/** Along the last dimension, where each pixel is one short row: the same sum at every place. */
const softmax: Operator = {
  name: 'Softmax',
  write: (g, [x], _attributes, type) => new Value(g, type, g.op('Softmax', [x!.plain], { axis: -1 })),
};

/** By given statistics of each channel; the network's own, or those of the batch in training. */
const batchNorm: Operator = {
  name: 'FusedBatchNorm',
  write(g, [x, ...statistics], attributes, type) {
    const [mean, variance, offset, scale] = statistics.map((v) => v.plain) as [
      string,
      string,
      string,
      string,
    ];
    const inputs = [scale, offset, mean, variance];
    const epsilon = { float: attributes.epsilon as number };
    return new Value(g, type, g.op('BatchNormalization', [x!.as(NCHW), ...inputs], { epsilon }), NCHW);
  },
};

const integral = (dtype: tf.DataType): tf.DataType => (dtype === 'bool' ? 'int32' : dtype);

export const reduceKernels: readonly Kernel[] = [
  reduction('Sum', 'ReduceSum', integral),
  reduction('Mean', 'ReduceMean', () => 'float32'),
  reduction('Max', 'ReduceMax', (dtype) => dtype),
  reduction('Min', 'ReduceMin', (dtype) => dtype),
  reduction('Prod', 'ReduceProd', integral),
  extreme('ArgMax'),
  extreme('ArgMin'),
  kernel<{ logits: tf.TensorInfo }>('Softmax', ({ inputs: { logits }, backend }) =>
    backend.record(softmax, [logits], {}, logits.shape, 'float32'),
  ),
  kernel<
    Record<'x' | 'mean' | 'variance', tf.TensorInfo> & { offset?: tf.TensorInfo; scale?: tf.TensorInfo },
    { varianceEpsilon: number }
  >('FusedBatchNorm', ({ inputs: { x, mean, variance, offset, scale }, attrs, backend }) => {
    if (x.shape.length !== 4)
      throw new UnsupportedKernelError('FusedBatchNorm', 'tensors that are not images');
    if (!offset || !scale) throw new UnsupportedKernelError('FusedBatchNorm', 'no offset or scale');
    const { varianceEpsilon: epsilon } = attrs;
    return backend.record(batchNorm, [x, mean, variance, offset, scale], { epsilon }, x.shape, 'float32');
  }),
];
