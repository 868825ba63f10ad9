import tf = require('@tensorflow/tfjs-core');

import type { OnnxBackend } from '../backend.js';
import type { Operator, ShapeBoundOperator } from '../operator.js';
import { NCHW } from '../value.js';
import { type Kernel, kernel, type Tensors } from './kernel.js';

const reshapeOperator: ShapeBoundOperator = {
  name: 'Reshape',
  shapeBound: true,
  emit(g, [x], _attributes, output, shapes) {
    // gradients of additions request the shape that is there: their images stay in their layout
    if (shapes.inputs[0].join() === shapes.output.join()) return x;
    return output.value(g.op('Reshape', [x.plain, g.ints(shapes.output)]));
  },
};

/** The same values in the same order under another shape of as many elements. */
export function reshape(backend: OnnxBackend, x: tf.TensorInfo, shape: readonly number[]): tf.TensorInfo {
  return backend.alias(x, shape) ?? backend.record(reshapeOperator, [x], {}, shape, x.dtype);
}

/** Unlike a Reshape to the same effect, it holds for every size. */
const expandDims: Operator<{ readonly axis: number }> = {
  name: 'ExpandDims',
  emit: (g, [x], { axis }, output) => output.value(g.op('Unsqueeze', [x.plain, g.ints([axis])])),
};

const castOperator: Operator = {
  name: 'Cast',
  emit(g, [x], _attributes, output) {
    if (x.dtype === output.dtype) return x;
    const isNchw = x.rank === 4 && x.has(NCHW);
    return output.value(g.cast(isNchw ? x.as(NCHW) : x.plain, output.dtype), isNchw ? NCHW : undefined);
  },
};

/** Records a conversion to another type; floats become integers by truncation. */
export function cast(backend: OnnxBackend, x: tf.TensorInfo, to: tf.DataType): tf.TensorInfo {
  return backend.record(castOperator, [x], {}, x.shape, to);
}

const transposeOperator: Operator<{ readonly perm: readonly number[] }> = {
  name: 'Transpose',
  emit: (_g, [x], { perm }, output) => output.value(x.as(perm)),
};

function fill(backend: OnnxBackend, shape: number[], value: number, dtype: tf.DataType): tf.TensorInfo {
  const values = tf.util.getArrayFromDType(dtype as 'float32', tf.util.sizeFromShape(shape)).fill(value);
  return { dataId: backend.write(values, shape, dtype), shape, dtype };
}

/** An axis counted from the front; TensorFlow.js counts negative ones from the back. */
export function normaliseAxis(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** Kernels that change shapes, types and orders of dimensions, or write constant tensors. */
export const shapeKernels: readonly Kernel[] = [
  kernel<Tensors<'x'>>('Identity', ({ inputs: { x }, backend }) => {
    backend.incRef(x.dataId);
    return { dataId: x.dataId, shape: x.shape, dtype: x.dtype };
  }),
  kernel<Tensors<'x'>, tf.CastAttrs>('Cast', ({ inputs: { x }, attrs: { dtype }, backend }) =>
    cast(backend, x, dtype),
  ),
  kernel<Tensors<'x'>, tf.ReshapeAttrs>('Reshape', ({ inputs: { x }, attrs, backend }) => {
    const size = tf.util.sizeFromShape(x.shape);
    return reshape(backend, x, tf.util.inferFromImplicitShape(attrs.shape, size));
  }),
  kernel<Tensors<'input'>, tf.ExpandDimsAttrs>('ExpandDims', ({ inputs: { input }, attrs, backend }) => {
    const axis = normaliseAxis(attrs.dim, input.shape.length + 1);
    const shape = input.shape.toSpliced(axis, 0, 1);
    return backend.alias(input, shape) ?? backend.record(expandDims, [input], { axis }, shape, input.dtype);
  }),
  kernel<Tensors<'x'>, tf.TransposeAttrs>('Transpose', ({ inputs: { x }, attrs: { perm }, backend }) => {
    const shape = perm.map((dim) => x.shape[dim]!);
    return backend.record(transposeOperator, [x], { perm }, shape, x.dtype);
  }),
  kernel<object, { shape: number[]; value: number; dtype?: tf.DataType }>('Fill', ({ attrs, backend }) =>
    fill(backend, attrs.shape, attrs.value, attrs.dtype ?? 'float32'),
  ),
  kernel<Tensors<'x'>>('ZerosLike', ({ inputs: { x }, backend }) => fill(backend, x.shape, 0, x.dtype)),
  kernel<Tensors<'x'>>('OnesLike', ({ inputs: { x }, backend }) => fill(backend, x.shape, 1, x.dtype)),
];
