import * as tf from '@tensorflow/tfjs-core';
import type { OnnxBackend } from '../backend.js';
import type { ElementName } from '../proto.js';
import type { Operator } from '../record.js';
import { NCHW, Value } from '../writer.js';
import { type Kernel, kernel, type Unary } from './kernel.js';

export const reshapeOperator: Operator = {
  name: 'Reshape',
  shapeBound: true,
  write(g, [x], attributes, type) {
    const shape = attributes.shape as number[];
    // gradients of additions ask for the shape that is there: their images stay in their layout
    if (x!.type.shape.join() === shape.join()) return x!;
    return new Value(g, type, g.op('Reshape', [x!.plain, g.ints(shape)]));
  },
};

const castOperator: Operator = {
  name: 'Cast',
  write(g, [x], attributes, type) {
    const to = attributes.to as ElementName;
    const nchw = x!.rank === 4 && x!.has(NCHW);
    return new Value(g, type, g.cast(nchw ? x!.as(NCHW) : x!.plain, to), nchw ? NCHW : undefined);
  },
};

export function cast(backend: OnnxBackend, x: tf.TensorInfo, to: tf.DataType): tf.TensorInfo {
  return backend.record(castOperator, [x], { to }, x.shape, to);
}

const transposeOperator: Operator = {
  name: 'Transpose',
  write: (g, [x], attributes, type) => new Value(g, type, x!.as(attributes.perm as number[])),
};

function filled(backend: OnnxBackend, shape: number[], value: number, dtype: tf.DataType): tf.TensorInfo {
  const values = tf.util.getArrayFromDType(dtype as 'float32', tf.util.sizeFromShape(shape)).fill(value);
  return { dataId: backend.write(values, shape, dtype), shape, dtype };
}

/** A dimension counted from the front. */
export function ranked(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

export const shapeKernels: readonly Kernel[] = [
  kernel<Unary>('Identity', ({ inputs: { x }, backend }) => {
    backend.incRef(x.dataId);
    return { dataId: x.dataId, shape: x.shape, dtype: x.dtype };
  }),
  kernel<Unary, { dtype: tf.DataType }>('Cast', ({ inputs: { x }, attrs: { dtype }, backend }) =>
    cast(backend, x, dtype),
  ),
  kernel<Unary, { shape: number[] }>('Reshape', ({ inputs: { x }, attrs, backend }) => {
    const size = tf.util.sizeFromShape(x.shape);
    return backend.reshape(x, tf.util.inferFromImplicitShape(attrs.shape, size), reshapeOperator);
  }),
  kernel<{ input: tf.TensorInfo }, { dim: number }>('ExpandDims', ({ inputs: { input }, attrs, backend }) => {
    const shape = [...input.shape];
    shape.splice(ranked(attrs.dim, shape.length + 1), 0, 1);
    return backend.reshape(input, shape, reshapeOperator);
  }),
  kernel<Unary, { perm: number[] }>('Transpose', ({ inputs: { x }, attrs: { perm }, backend }) =>
    backend.record(
      transposeOperator,
      [x],
      { perm },
      perm.map((dim) => x.shape[dim]!),
      x.dtype,
    ),
  ),
  kernel<object, { shape: number[]; value: number; dtype?: tf.DataType }>('Fill', ({ attrs, backend }) =>
    filled(backend, attrs.shape, attrs.value, attrs.dtype ?? 'float32'),
  ),
  kernel<Unary>('ZerosLike', ({ inputs: { x }, backend }) => filled(backend, x.shape, 0, x.dtype)),
  kernel<Unary>('OnesLike', ({ inputs: { x }, backend }) => filled(backend, x.shape, 1, x.dtype)),
];
