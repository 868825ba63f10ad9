import * as tf from '@tensorflow/tfjs-core';
import { UnsupportedKernelError } from '../../errors.js';
import type { OnnxBackend } from '../backend.js';
import type { Operator, RecordAttributes } from '../record.js';
import { NCHW, SLICE_END, Value } from '../writer.js';
import { type Kernel, kernel, type Unary } from './kernel.js';
import { ranked, reshapeOperator } from './shape.js';

/** Rank-4 tensors that exist in NCHW are cut, padded and joined there. */
function inLayout(values: readonly Value[]): { readonly nchw: boolean; readonly dims: readonly number[] } {
  const nchw = values[0]!.rank === 4 && values.some((v) => v.has(NCHW));
  return { nchw, dims: nchw ? NCHW : values[0]!.type.shape.map((_, i) => i) };
}

/** `trailing` counts what is cut behind, not where the slice ends: so a crop fits every image size. */
const sliceOperator: Operator = {
  name: 'Slice',
  write(g, [x], attributes, type) {
    const begin = attributes.begin as number[];
    const trailing = attributes.trailing as number[];
    const { nchw, dims } = inLayout([x!]);
    const axes = dims.flatMap((dim, axis) => (begin[dim] === 0 && trailing[dim] === 0 ? [] : [axis]));
    if (axes.length === 0) return x!;
    const name = g.op('Slice', [
      x!.as(dims),
      g.ints(axes.map((axis) => begin[dims[axis]!]!)),
      g.ints(axes.map((axis) => (trailing[dims[axis]!] === 0 ? SLICE_END : -trailing[dims[axis]!]!))),
      g.ints(axes),
    ]);
    return new Value(g, type, name, nchw ? NCHW : undefined);
  },
};

export function slice(
  backend: OnnxBackend,
  x: tf.TensorInfo,
  begin: readonly number[],
  size: readonly number[],
): tf.TensorInfo {
  const trailing = x.shape.map((dim, i) => dim - begin[i]! - size[i]!);
  return backend.extend(sliceOperator, x, (inner) => added(inner, { begin: [...begin], trailing }), size);
}

/**
 * What two slices, or two paddings, do together. TensorFlow.js crops an image along one dimension after
 * the other, and pads its gradient so.
 */
function added<A extends Record<string, number | number[]>>(
  inner: RecordAttributes | null,
  own: A,
): A | null {
  if (inner === null) return own;
  const sums = Object.entries(own).map(([key, values]) => {
    if (!Array.isArray(values)) return [key, values];
    return [key, values.map((n, i) => n + (inner[key] as number[])[i]!)];
  });
  const same = Object.entries(own).every(([key, value]) => Array.isArray(value) || inner[key] === value);
  return same ? (Object.fromEntries(sums) as A) : null;
}

const packOperator: Operator = {
  name: 'Pack',
  write(g, inputs, attributes, type) {
    const axis = attributes.axis as number;
    const parts = inputs.map((v) => g.op('Unsqueeze', [v.plain, g.ints([axis])]));
    return new Value(g, type, g.op('Concat', parts, { axis }));
  },
};

const unpackOperator: Operator = {
  name: 'Unpack',
  write(g, [x], attributes, type) {
    const at = g.scalar(attributes.at as number, 'int32');
    return new Value(g, type, g.op('Gather', [x!.plain, at], { axis: attributes.axis as number }));
  },
};

const reverseOperator: Operator = {
  name: 'Reverse',
  write: (g, [x], attributes, type) => new Value(g, type, g.reverse(x!.plain, attributes.axes as number[])),
};

const tileOperator: Operator = {
  name: 'Tile',
  write: (g, [x], attributes, type) =>
    new Value(g, type, g.op('Tile', [x!.plain, g.ints(attributes.reps as number[])])),
};

const gatherOperator: Operator = {
  name: 'GatherV2',
  write: (g, [x, indices], attributes, type) =>
    new Value(g, type, g.op('Gather', [x!.plain, indices!.plain], { axis: attributes.axis as number })),
};

const oneHotOperator: Operator = {
  name: 'OneHot',
  write(g, [indices], attributes, type) {
    const depth = attributes.depth as number;
    const classes = g.initializer(
      'int32',
      [depth],
      Int32Array.from({ length: depth }, (_, i) => i),
    );
    const hit = g.op('Equal', [g.op('Unsqueeze', [indices!.plain, g.ints([-1])]), classes]);
    const on = g.scalar(attributes.onValue as number, type.dtype);
    const off = g.scalar(attributes.offValue as number, type.dtype);
    return new Value(g, type, g.op('Where', [hit, on, off]));
  },
};

const padOperator: Operator = {
  name: 'PadV2',
  write(g, [x], attributes, type) {
    const before = attributes.before as number[];
    const after = attributes.after as number[];
    const { nchw, dims } = inLayout([x!]);
    const pads = [...dims.map((dim) => before[dim]!), ...dims.map((dim) => after[dim]!)];
    const fill = g.scalar(attributes.value as number, type.dtype);
    return new Value(g, type, g.op('Pad', [x!.as(dims), g.ints(pads), fill]), nchw ? NCHW : undefined);
  },
};

const concatOperator: Operator = {
  name: 'Concat',
  write(g, inputs, attributes, type) {
    const { nchw, dims } = inLayout(inputs);
    const axis = dims.indexOf(attributes.axis as number);
    const name = g.op(
      'Concat',
      inputs.map((v) => v.as(dims)),
      { axis },
    );
    return new Value(g, type, name, nchw ? NCHW : undefined);
  },
};

function join(backend: OnnxBackend, parts: readonly tf.TensorInfo[], axis: number): tf.TensorInfo {
  const shape = tf.backend_util.computeOutShape(
    parts.map((x) => x.shape),
    axis,
  );
  const filled = parts.filter((x) => tf.util.sizeFromShape(x.shape) > 0);
  if (filled.length === 1) return backend.reshape(filled[0]!, shape, reshapeOperator);
  return backend.record(concatOperator, filled, { axis }, shape, parts[0]!.dtype);
}

/** Kernels that cut, join, repeat and pick parts of tensors. */
export const arrangeKernels: readonly Kernel[] = [
  kernel<Unary, { begin: number[]; size: number[] }>('Slice', ({ inputs: { x }, attrs, backend }) => {
    const parsed = tf.slice_util.parseSliceParams(x as tf.Tensor, attrs.begin, attrs.size);
    const [begin, size] = parsed as [number[], number[]];
    tf.slice_util.assertParamsValid(x as tf.Tensor, begin, size);
    return slice(backend, x, begin, size);
  }),
  kernel<Unary, { paddings: [number, number][]; constantValue: number }>(
    'PadV2',
    ({ inputs: { x }, attrs: { paddings, constantValue: value }, backend }) => {
      const before = paddings.map((p) => p[0]);
      const after = paddings.map((p) => p[1]);
      const shape = x.shape.map((dim, i) => before[i]! + dim + after[i]!);
      return backend.extend(padOperator, x, (inner) => added(inner, { before, after, value }), shape);
    },
  ),
  kernel<Record<string, tf.TensorInfo>, { axis: number }>('Concat', ({ inputs, attrs, backend }) => {
    const parts = Object.values(inputs);
    return join(backend, parts, ranked(attrs.axis, parts[0]!.shape.length));
  }),
  kernel<Record<string, tf.TensorInfo>, { axis: number }>('Pack', ({ inputs, attrs, backend }) => {
    const parts = Object.values(inputs);
    const axis = ranked(attrs.axis, parts[0]!.shape.length + 1);
    const shape = parts[0]!.shape.toSpliced(axis, 0, parts.length);
    return backend.record(packOperator, parts, { axis }, shape, parts[0]!.dtype);
  }),
  kernel<Unary, { numOrSizeSplits: number | number[]; axis: number }>(
    'SplitV',
    ({ inputs: { x }, attrs, backend }) => {
      const axis = ranked(attrs.axis, x.shape.length);
      const sizes = tf.backend_util.prepareSplitSize(x as tf.Tensor, attrs.numOrSizeSplits, axis);
      const begin = x.shape.map(() => 0);
      return sizes.map((length) => {
        const part = slice(
          backend,
          x,
          begin,
          x.shape.map((dim, i) => (i === axis ? length : dim)),
        );
        begin[axis]! += length;
        return part;
      });
    },
  ),
  kernel<{ value: tf.TensorInfo }, { axis: number }>('Unpack', ({ inputs: { value }, attrs, backend }) => {
    const axis = ranked(attrs.axis, value.shape.length);
    const shape = value.shape.toSpliced(axis, 1);
    return Array.from({ length: value.shape[axis]! }, (_, at) =>
      backend.record(unpackOperator, [value], { axis, at }, shape, value.dtype),
    );
  }),
  kernel<Unary, { dims: number | number[] }>('Reverse', ({ inputs: { x }, attrs, backend }) => {
    const axes = tf.util.parseAxisParam(attrs.dims, x.shape);
    if (axes.length === 0) return backend.reshape(x, x.shape, reshapeOperator);
    return backend.record(reverseOperator, [x], { axes }, x.shape, x.dtype);
  }),
  kernel<Unary, { reps: number[] }>('Tile', ({ inputs: { x }, attrs: { reps }, backend }) =>
    backend.record(
      tileOperator,
      [x],
      { reps },
      x.shape.map((dim, i) => dim * reps[i]!),
      x.dtype,
    ),
  ),
  kernel<{ x: tf.TensorInfo; indices: tf.TensorInfo }, { axis: number; batchDims: number }>(
    'GatherV2',
    ({ inputs: { x, indices }, attrs, backend }) => {
      if (attrs.batchDims > 0) throw new UnsupportedKernelError('GatherV2', 'batchDims above 0');
      const axis = ranked(attrs.axis, x.shape.length);
      const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
      return backend.record(gatherOperator, [x, indices], { axis }, shape, x.dtype);
    },
  ),
  kernel<
    { indices: tf.TensorInfo },
    { dtype: tf.DataType; depth: number; onValue: number; offValue: number }
  >('OneHot', ({ inputs: { indices }, attrs: { dtype, depth, onValue, offValue }, backend }) =>
    backend.record(oneHotOperator, [indices], { depth, onValue, offValue }, [...indices.shape, depth], dtype),
  ),
];
