import tf = require('@tensorflow/tfjs-core');

import { UnsupportedKernelError } from '../../errors.js';
import type { Operator } from '../operator.js';
import { NCHW, type Value } from '../value.js';
import { deferred } from './deferred.js';
import { DeferredConvolution } from './deferred-conv.js';
import { InputGradient } from './input-gradient.js';
import { type Kernel, kernel, type Tensors } from './kernel.js';
import { reduceBlocks } from './reduce-blocks.js';
import { cast } from './shape.js';

interface Reduction {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

/** Reductions over NCHW need no Transpose where the remaining dimensions keep their order. */
function reducer(opType: string): Operator<Reduction> {
  return {
    name: opType,
    emit(g, [x], { axes, keepDims }, output) {
      const reducesPixels = ['1,2', '0,1,2'].includes(axes.toSorted().join());
      if (reducesPixels && !keepDims && opType === 'ReduceSum' && x.origin instanceof InputGradient) {
        const sums = x.origin.sums(g, axes.includes(0));
        if (sums !== null) return output.value(sums);
      }
      if (x.isBlocked && x.dtype === output.dtype && !keepDims && reducesPixels) {
        return output.value(reduceBlocks(g, x, opType, axes.includes(0)));
      }
      const isOrdered = keepDims || axes.includes(3) || axes.length >= 3;
      const isNchw = x.rank === 4 && x.has(NCHW) && isOrdered;
      const name = isNchw ? x.as(NCHW) : x.plain;
      const reduced = g.op(
        opType,
        [
          x.dtype === output.dtype ? name : g.cast(name, output.dtype),
          g.ints(isNchw ? axes.map((axis) => NCHW.indexOf(axis)) : axes),
        ],
        { keepdims: keepDims ? 1 : 0 },
      );
      return output.value(reduced, isNchw && keepDims ? NCHW : undefined);
    },
  };
}

/** TensorFlow.js calls the axes of `Max` differently from those of the others. */
type ReduceAttrs = tf.SumAttrs | tf.MaxAttrs;

function reduction(name: string, opType: string, outputType: (dtype: tf.DataType) => tf.DataType): Kernel {
  const operator = reducer(opType);
  return kernel<Tensors<'x'>, ReduceAttrs>(name, ({ inputs: { x }, attrs, backend }) => {
    const { keepDims } = attrs;
    const dtype = outputType(x.dtype);
    const axes = tf.util.parseAxisParam('axis' in attrs ? attrs.axis : attrs.reductionIndices, x.shape);
    const [remaining] = tf.backend_util.computeOutAndReduceShapes(x.shape, axes);
    const shape = keepDims ? tf.backend_util.expandShapeToKeepDim(remaining, axes) : remaining;
    if (axes.length === 0) return cast(backend, x, dtype);
    return backend.record(operator, [x], { axes, keepDims }, shape, dtype);
  });
}

function extreme(name: 'ArgMax' | 'ArgMin'): Kernel {
  const operator: Operator<{ readonly axis: number }> = {
    name,
    emit(g, [x], { axis }, output) {
      const isNchw = x.rank === 4 && x.has(NCHW) && axis === 3;
      const indices = g.op(name, [isNchw ? x.as(NCHW) : x.plain], { axis: isNchw ? 1 : axis, keepdims: 0 });
      return output.value(g.cast(indices, 'int32'));
    },
  };
  return kernel<Tensors<'x'>, tf.ArgMaxAttrs>(name, ({ inputs: { x }, attrs, backend }) => {
    const [axis] = tf.util.parseAxisParam(attrs.axis, x.shape);
    const shape = x.shape.filter((_, i) => i !== axis);
    return backend.record(operator, [x], { axis: axis! }, shape, 'int32');
  });
}

/** Softmax along the last dimension. Each pixel is one short row, which is summed the same way at every place. */
const softmax: Operator = {
  name: 'Softmax',
  emit: (g, [x], _attributes, output) => output.value(g.op('Softmax', [x.plain], { axis: -1 })),
};

type BatchNormInputs = readonly [x: Value, mean: Value, variance: Value, offset: Value, scale: Value];

/** Normalises each channel by its mean and variance: the network's own, or those of the batch in training. */
const batchNorm: Operator<{ readonly epsilon: number }, BatchNormInputs> = {
  name: 'FusedBatchNorm',
  emit(g, [x, mean, variance, offset, scale], { epsilon }, output) {
    if (g.isFrozen && x.origin instanceof DeferredConvolution) {
      const deviation = g.op('Sqrt', [g.op('Add', [variance.plain, g.scalar(epsilon)])]);
      const factor = g.op('Div', [scale.plain, deviation]);
      const shift = g.op('Sub', [offset.plain, g.op('Mul', [mean.plain, factor])]);
      const folded = x.origin.scaled(g, factor, shift);
      if (folded !== null) return deferred(g, output, folded);
    }
    const inputs = [x.as(NCHW), scale.plain, offset.plain, mean.plain, variance.plain];
    return output.value(g.op('BatchNormalization', inputs, { epsilon: { float: epsilon } }), NCHW);
  },
};

const widenBool = (dtype: tf.DataType): tf.DataType => (dtype === 'bool' ? 'int32' : dtype);

export const reduceKernels: readonly Kernel[] = [
  reduction('Sum', 'ReduceSum', widenBool),
  reduction('Mean', 'ReduceMean', () => 'float32'),
  reduction('Max', 'ReduceMax', (dtype) => dtype),
  reduction('Min', 'ReduceMin', (dtype) => dtype),
  reduction('Prod', 'ReduceProd', widenBool),
  extreme('ArgMax'),
  extreme('ArgMin'),
  kernel<Tensors<'logits'>>('Softmax', ({ inputs: { logits }, backend }) =>
    backend.record(softmax, [logits], {}, logits.shape, 'float32'),
  ),
  kernel<Tensors<'x' | 'mean' | 'variance'> & Partial<Tensors<'offset' | 'scale'>>, tf.FusedBatchNormAttrs>(
    'FusedBatchNorm',
    ({ inputs: { x, mean, variance, offset, scale }, attrs: { varianceEpsilon: epsilon }, backend }) => {
      if (x.shape.length !== 4)
        throw new UnsupportedKernelError('FusedBatchNorm', 'tensors that are not images');
      if (!offset || !scale) throw new UnsupportedKernelError('FusedBatchNorm', 'no offset or scale');
      return backend.record(batchNorm, [x, mean, variance, offset, scale], { epsilon }, x.shape, 'float32');
    },
  ),
];
