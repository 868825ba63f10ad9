import { sizeOf } from '../constant.js';
import type { NodeContext } from '../node-context.js';
import { requestedShape } from '../shapes.js';
import { type Axis, dimsOf, type GraphValue, type ImageValue, isSpaced } from '../values.js';
import { merged } from './repeat.js';

function transpose(c: NodeContext): GraphValue {
  const value = c.values[0];
  const perm = c.ints('perm');
  if (value?.kind === 'mixed') {
    const order = perm ?? [...value.dims.keys()].reverse();
    const { parts } = value;
    if (parts && isPermutation(order, parts.length))
      return { ...value, dims: order.map((d) => value.dims[d]!), parts: order.map((d) => parts[d]!) };
    if (order.every((d, i) => d === i)) return value;
    return c.unsupported(
      `it rearranges what "${value.by}" has made of a map; shuffles of channels and of px are not supported`,
    );
  }
  const x = c.image(0);
  const order = perm ?? [...x.axes.keys()].reverse();
  if (!isPermutation(order, x.axes.length)) c.unsupported(`it permutes [${x.axes.join(', ')}] by [${order}]`);
  return { ...x, axes: order.map((d) => x.axes[d]!) };
}

const isPermutation = (order: readonly number[], rank: number): boolean =>
  order.toSorted((a, b) => a - b).join() === Array.from({ length: rank }, (_, d) => d).join();

/** A new shape of the same dimensions, but for some of length 1; or a tensor that is not an image any more. */
function reshaped(c: NodeContext, dims: readonly number[]): GraphValue {
  const value = c.values[0];
  if (sizeOf(dims) !== sizeOf(c.dims(0)) || !dims.every((n) => n > 0))
    c.misfit(`it makes a tensor of shape [${dims}] of one of [${c.dims(0)}]`);
  if (value?.kind === 'mixed' && value.parts) return merged(c, { ...value, parts: value.parts }, dims);
  const image = value?.kind === 'mixed' ? value.image : c.image(0);
  const axes = axesOf(image, dims);
  if (axes !== null) return { ...image, axes };
  return { kind: 'mixed', dims, image, by: value?.kind === 'mixed' ? value.by : c.node.name };
}

/** The axes of an image under another shape; null where it merges or divides dimensions. */
function axesOf(image: ImageValue, dims: readonly number[]): readonly Axis[] | null {
  if (dims.join() === dimsOf(image).join()) return image.axes;
  if (image.channels !== 1 || dims.length < 3 || dims.length > 4) return null;
  if (!isSpaced(dims, image) || dims[0] !== 1) return null;
  const spatial = image.axes.filter((axis) => axis === 'h' || axis === 'w');
  const places = dims.flatMap((n, d) => (d > 0 && n !== 1 ? [d] : []));
  if (places.length !== 2) return null;
  return dims.map((_, d) =>
    d === 0 ? 'n' : d === places[0] ? spatial[0]! : d === places[1] ? spatial[1]! : 'c',
  );
}

const reshape = (c: NodeContext): GraphValue => {
  const requested = c.integers(1);
  return reshaped(c, requestedShape(c.dims(0), requested, c.int('allowzero', 0) === 1));
};

function squeeze(c: NodeContext): GraphValue {
  const dims = c.dims(0);
  const list = c.list('axes', 1)?.map((axis) => (axis < 0 ? axis + dims.length : axis));
  if (list?.some((axis) => dims[axis] !== 1)) c.misfit(`it removes the dimensions ${list} of [${dims}]`);
  return reshaped(
    c,
    dims.filter((n, d) => (list ? !list.includes(d) : n !== 1)),
  );
}

function unsqueeze(c: NodeContext): GraphValue {
  const dims = [...c.dims(0)];
  const list = c.list('axes', 1) ?? [];
  const rank = dims.length + list.length;
  const added = new Set(list.map((axis) => (axis < 0 ? axis + rank : axis)));
  return reshaped(
    c,
    Array.from({ length: rank }, (_, d) => (added.has(d) ? 1 : dims.shift()!)),
  );
}

function flatten(c: NodeContext): GraphValue {
  const dims = c.dims(0);
  const axis = c.int('axis', 1);
  return reshaped(c, [sizeOf(dims.slice(0, axis)), sizeOf(dims.slice(axis))]);
}

/** A tensor that stays what it is. */
const same = (c: NodeContext): GraphValue => c.values[0]!;

function cast(c: NodeContext): GraphValue {
  const FLOATS = [1, 10, 11, 16];
  c.disregard('saturate', 'round_mode'); // of types with 8 bits
  if (!FLOATS.includes(c.int('to', 1))) c.unsupported('it converts an image to integers');
  return same(c);
}

function castLike(c: NodeContext): GraphValue {
  const like = c.values[1];
  c.disregard('saturate', 'round_mode'); // of types with 8 bits
  if (like?.kind === 'constant' && like.constant.type !== 'float')
    c.unsupported('it converts an image to integers');
  return same(c);
}

function dropout(c: NodeContext): GraphValue {
  c.disregard('ratio', 'seed', 'is_test');
  if (c.constant(2)?.values[0]) c.unsupported('it drops values at random, as in training');
  return same(c);
}

function expand(c: NodeContext): GraphValue {
  const x = c.image(0);
  const dims = c.integers(1);
  if (dims.length > x.axes.length) c.unsupported(`it makes ${dims.length} dimensions of an image`);
  const isSame = dims.every((n, i) => n === 1 || n === dimsOf(x)[i - dims.length + x.axes.length]);
  return isSame ? x : c.unsupported('it repeats an image');
}

/** Operators that leave values as they are, under another shape or type. */
export const reshaping: Readonly<Record<string, (c: NodeContext) => GraphValue>> = {
  Transpose: transpose,
  Reshape: reshape,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Flatten: flatten,
  Identity: same,
  Dropout: dropout,
  Cast: cast,
  CastLike: castLike,
  Expand: expand,
};
