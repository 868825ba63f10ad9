import tf = require('@tensorflow/tfjs-core');

import { UnsupportedKernelError } from '../../errors.js';
import type { OnnxBackend } from '../backend.js';
import type { Operator, Output } from '../operator.js';
import { BLOCKED, type Layout, NCHW, type Value } from '../value.js';
import { type GraphWriter, SLICE_END } from '../writer.js';
import { deferred } from './deferred.js';
import { Join } from './deferred-conv.js';
import { InputGradient } from './input-gradient.js';
import { type Kernel, kernel, type Tensors } from './kernel.js';
import { normaliseAxis, reshape } from './shape.js';

/** The layout in which tensors are cut, padded and joined: NCHW for images of which one exists there. */
function commonLayout(values: readonly Value[]): Layout {
  const { rank } = values[0]!;
  if (rank === 4 && values.some((v) => v.has(NCHW))) return NCHW;
  return Array.from({ length: rank }, (_, i) => i);
}

const sum = (a: readonly number[], b: readonly number[]): number[] => a.map((n, i) => n + b[i]!);

interface Cut {
  /** Elements cut off in front of each dimension. */
  readonly begin: readonly number[];
  /** Elements cut off behind it, and not where the slice ends: so a crop fits every image size. */
  readonly trailing: readonly number[];
}

/** Cuts rows and columns off an image in blocks: whole runs are copied, of a block's channels for each pixel. */
function sliceBlocks(g: GraphWriter, x: Value, { begin, trailing }: Cut): string {
  const block = g.block!;
  const split = g.op('Reshape', [x.as(BLOCKED), g.ints([0, x.channels / block, 0, 0, block])]);
  const ends = [1, 2].map((dim) => (trailing[dim] === 0 ? SLICE_END : -trailing[dim]!));
  const cut = g.op('Slice', [split, g.ints([begin[1]!, begin[2]!]), g.ints(ends), g.ints([2, 3])]);
  return g.op('Reshape', [cut, g.ints([0, x.channels, 0, 0])]);
}

const sliceOperator: Operator<Cut> = {
  name: 'Slice',
  // TensorFlow.js crops an image along one dimension after the other
  fuse: (inner, outer) => ({
    begin: sum(outer.begin, inner.begin),
    trailing: sum(outer.trailing, inner.trailing),
  }),
  emit(g, [x], { begin, trailing }, output) {
    const ofChannels = [0, 1, 2].every((dim) => begin[dim] === 0 && trailing[dim] === 0) && x.rank === 4;
    const count = x.channels - (begin[3] ?? 0) - (trailing[3] ?? 0);
    if (ofChannels && x.origin instanceof InputGradient) {
      const part = x.origin.part(g, begin[3]!, count);
      if (part !== null) return deferred(g, output, part);
    }
    const layout = commonLayout([x]);
    const axes = layout.flatMap((dim, axis) => (begin[dim] === 0 && trailing[dim] === 0 ? [] : [axis]));
    if (axes.length === 0) return x;
    if (!g.isPortable && x.isBlocked && layout === NCHW && axes.every((axis) => axis > 1)) {
      return output.value(sliceBlocks(g, x, { begin, trailing }), BLOCKED);
    }
    const name = g.op('Slice', [
      x.as(layout),
      g.ints(axes.map((axis) => begin[layout[axis]!]!)),
      g.ints(axes.map((axis) => (trailing[layout[axis]!] === 0 ? SLICE_END : -trailing[layout[axis]!]!))),
      g.ints(axes),
    ]);
    return output.value(name, layout);
  },
};

/** Cuts `size` elements from `begin` on out of each dimension. */
export function slice(
  backend: OnnxBackend,
  x: tf.TensorInfo,
  begin: readonly number[],
  size: readonly number[],
): tf.TensorInfo {
  const trailing = x.shape.map((dim, i) => dim - begin[i]! - size[i]!);
  return backend.record(sliceOperator, [x], { begin: [...begin], trailing }, size, x.dtype);
}

const packOperator: Operator<{ readonly axis: number }, readonly Value[]> = {
  name: 'Pack',
  emit(g, inputs, { axis }, output) {
    const parts = inputs.map((v) => g.op('Unsqueeze', [v.plain, g.ints([axis])]));
    return output.value(g.op('Concat', parts, { axis }));
  },
};

const unpackOperator: Operator<{ readonly axis: number; readonly index: number }> = {
  name: 'Unpack',
  emit(g, [x], { axis, index }, output) {
    const scalar = g.scalar(index, 'int32'); // a scalar index removes the dimension
    return output.value(g.op('Gather', [x.plain, scalar], { axis }));
  },
};

const reverseOperator: Operator<{ readonly axes: readonly number[] }> = {
  name: 'Reverse',
  emit: (g, [x], { axes }, output) => output.value(g.reverse(x.plain, axes)),
};

const tileOperator: Operator<{ readonly reps: readonly number[] }> = {
  name: 'Tile',
  emit: (g, [x], { reps }, output) => output.value(g.op('Tile', [x.plain, g.ints(reps)])),
};

const gatherOperator: Operator<{ readonly axis: number }, readonly [x: Value, indices: Value]> = {
  name: 'GatherV2',
  emit: (g, [x, indices], { axis }, output) =>
    output.value(g.op('Gather', [x.plain, indices.plain], { axis })),
};

/** Of the labels of images it is in NCHW: comparing a last dimension of two or three classes is slow. */
const oneHotOperator: Operator<Omit<tf.OneHotAttrs, 'dtype'>> = {
  name: 'OneHot',
  emit(g, [indices], { depth, onValue, offValue }, output) {
    const isImage = output.rank === 4;
    const classes = g.initializer(
      'int32',
      isImage ? [depth, 1, 1] : [depth],
      Int32Array.from({ length: depth }, (_, i) => i),
    );
    const isClass = g.op('Equal', [g.op('Unsqueeze', [indices.plain, g.ints([isImage ? 1 : -1])]), classes]);
    const on = g.scalar(onValue, output.dtype);
    const off = g.scalar(offValue, output.dtype);
    return output.value(g.op('Where', [isClass, on, off]), isImage ? NCHW : undefined);
  },
};

interface Padding {
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly value: number;
}

const padOperator: Operator<Padding> = {
  name: 'PadV2',
  // TensorFlow.js pads the gradient of a crop along one dimension after the other
  fuse: (inner, outer) =>
    inner.value === outer.value
      ? {
          before: sum(outer.before, inner.before),
          after: sum(outer.after, inner.after),
          value: outer.value,
        }
      : null,
  emit(g, [x], { before, after, value }, output) {
    const padsOnlyPixels = x.rank === 4 && [before, after].every((px) => px[0] === 0 && px[3] === 0);
    if (padsOnlyPixels && value === 0 && x.origin instanceof InputGradient) {
      const frame = [before[1]!, before[2]!, after[1]!, after[2]!] as const;
      return deferred(g, output, x.origin.framed(frame));
    }
    if (!g.isPortable && x.isBlocked && padsOnlyPixels) {
      return output.value(padBlocks(g, x, { before, after, value }), BLOCKED);
    }
    const layout = commonLayout([x]);
    const pads = [...layout.map((dim) => before[dim]!), ...layout.map((dim) => after[dim]!)];
    const fill = g.scalar(value, output.dtype);
    return output.value(g.op('Pad', [x.as(layout), g.ints(pads), fill]), layout);
  },
};

/** Pads rows and columns of an image in blocks. */
function padBlocks(g: GraphWriter, x: Value, { before, after, value }: Padding): string {
  const block = g.block!;
  const split = g.op('Reshape', [x.as(BLOCKED), g.ints([0, x.channels / block, 0, 0, block])]);
  const pads = g.ints([0, 0, before[1]!, before[2]!, 0, 0, 0, after[1]!, after[2]!, 0]);
  return g.op('Reshape', [g.op('Pad', [split, pads, g.scalar(value)]), g.ints([0, x.channels, 0, 0])]);
}

const concatOperator: Operator<{ readonly axis: number }, readonly Value[]> = {
  name: 'Concat',
  emit(g, inputs, { axis }, output) {
    if (output.rank === 4 && axis === 3) {
      return output.deferred({ origin: new Join(inputs), write: () => join(g, inputs, axis, output) });
    }
    return join(g, inputs, axis, output);
  },
};

function join(g: GraphWriter, inputs: readonly Value[], axis: number, output: Output): Value {
  const isImage = output.rank === 4 && axis === 3;
  const layout = isImage && inputs.every((v) => v.isBlocked) ? BLOCKED : commonLayout(inputs);
  const names = inputs.map((v) => v.as(layout));
  return output.value(g.op('Concat', names, { axis: layout === BLOCKED ? 1 : layout.indexOf(axis) }), layout);
}

/** Joins tensors along an axis, which counts from 0. */
export function concat(backend: OnnxBackend, parts: readonly tf.TensorInfo[], axis: number): tf.TensorInfo {
  const shape = tf.backend_util.computeOutShape(
    parts.map((x) => x.shape),
    axis,
  );
  const nonEmpty = parts.filter((x) => tf.util.sizeFromShape(x.shape) > 0);
  if (nonEmpty.length === 1) return reshape(backend, nonEmpty[0]!, shape);
  return backend.record(concatOperator, nonEmpty, { axis }, shape, parts[0]!.dtype);
}

/** Kernels that cut, join, repeat and pick parts of tensors. */
export const arrangeKernels: readonly Kernel[] = [
  kernel<Tensors<'x'>, tf.SliceAttrs>('Slice', ({ inputs: { x }, attrs, backend }) => {
    const parsed = tf.slice_util.parseSliceParams(x as tf.Tensor, attrs.begin, attrs.size);
    const [begin, size] = parsed as [number[], number[]];
    tf.slice_util.assertParamsValid(x as tf.Tensor, begin, size);
    return slice(backend, x, begin, size);
  }),
  kernel<Tensors<'x'>, tf.PadV2Attrs>(
    'PadV2',
    ({ inputs: { x }, attrs: { paddings, constantValue: value }, backend }) => {
      const before = paddings.map((p) => p[0]);
      const after = paddings.map((p) => p[1]);
      const shape = x.shape.map((dim, i) => before[i]! + dim + after[i]!);
      return backend.record(padOperator, [x], { before, after, value }, shape, x.dtype);
    },
  ),
  kernel<Tensors, tf.ConcatAttrs>('Concat', ({ inputs, attrs, backend }) => {
    const parts = Object.values(inputs);
    return concat(backend, parts, normaliseAxis(attrs.axis, parts[0]!.shape.length));
  }),
  kernel<Tensors, tf.PackAttrs>('Pack', ({ inputs, attrs, backend }) => {
    const parts = Object.values(inputs);
    const axis = normaliseAxis(attrs.axis, parts[0]!.shape.length + 1);
    const shape = parts[0]!.shape.toSpliced(axis, 0, parts.length);
    return backend.record(packOperator, parts, { axis }, shape, parts[0]!.dtype);
  }),
  kernel<Tensors<'x'>, tf.SplitVAttrs>('SplitV', ({ inputs: { x }, attrs, backend }) => {
    const axis = normaliseAxis(attrs.axis, x.shape.length);
    const lengths = tf.backend_util.prepareSplitSize(x as tf.Tensor, attrs.numOrSizeSplits, axis);
    const begin = x.shape.map(() => 0);
    return lengths.map((length) => {
      const part = slice(backend, x, begin, x.shape.with(axis, length));
      begin[axis]! += length;
      return part;
    });
  }),
  kernel<Tensors<'value'>, tf.UnpackAttrs>('Unpack', ({ inputs: { value }, attrs, backend }) => {
    const axis = normaliseAxis(attrs.axis, value.shape.length);
    const shape = value.shape.toSpliced(axis, 1);
    return Array.from({ length: value.shape[axis]! }, (_, index) =>
      backend.record(unpackOperator, [value], { axis, index }, shape, value.dtype),
    );
  }),
  kernel<Tensors<'x'>, tf.ReverseAttrs>('Reverse', ({ inputs: { x }, attrs, backend }) => {
    const axes = tf.util.parseAxisParam(attrs.dims, x.shape);
    if (axes.length === 0) return reshape(backend, x, x.shape);
    return backend.record(reverseOperator, [x], { axes }, x.shape, x.dtype);
  }),
  kernel<Tensors<'x'>, tf.TileAttrs>('Tile', ({ inputs: { x }, attrs: { reps }, backend }) => {
    const shape = x.shape.map((dim, i) => dim * reps[i]!);
    return backend.record(tileOperator, [x], { reps }, shape, x.dtype);
  }),
  kernel<Tensors<'x' | 'indices'>, tf.GatherV2Attrs>(
    'GatherV2',
    ({ inputs: { x, indices }, attrs, backend }) => {
      if (attrs.batchDims > 0) throw new UnsupportedKernelError('GatherV2', 'batchDims above 0');
      const axis = normaliseAxis(attrs.axis, x.shape.length);
      const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
      return backend.record(gatherOperator, [x, indices], { axis }, shape, x.dtype);
    },
  ),
  kernel<Tensors<'indices'>, tf.OneHotAttrs>(
    'OneHot',
    ({ inputs: { indices }, attrs: { dtype, ...attributes }, backend }) =>
      backend.record(oneHotOperator, [indices], attributes, [...indices.shape, attributes.depth], dtype),
  ),
];
