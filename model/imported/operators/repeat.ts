import tf = require('@tensorflow/tfjs-core');

import { repeat } from '../../network/axis/steps.js';
import type { NodeContext } from '../node-context.js';
import {
  type Axis,
  dimsOf,
  type GraphValue,
  type ImageValue,
  isSpaced,
  type MixedValue,
  type Part,
} from '../values.js';

/**
 * Repeats a map along a new dimension behind its rows, or its columns: what follows makes one dimension of both, so that
 * each px is repeated. Keras writes the up-sampling to nearest px so.
 */
export function tile(c: NodeContext): GraphValue {
  const value = c.values[0];
  const repeats = c.integers(1);
  const [at, ...others] = repeats.flatMap((n, d) => (n === 1 ? [] : [d]));
  if (at === undefined) return value!;
  const times = repeats[at]!;
  if (value?.kind !== 'mixed' || value.parts || !isSpaced(value.dims, value.image) || value.dims[at] !== 1)
    return c.unsupported('it repeats a map; only px of its rows and columns may be repeated');
  const { dims, image } = value;
  const of = axisBehindWhich(image, dims, at);
  if (others.length > 0 || of === null || times < 1)
    return c.unsupported('it repeats a map otherwise than by the px of its rows or of its columns');
  const long = axesOfLength(image);
  const parts = dims.map((n, d): Part => (d === at ? { of, times } : n === 1 ? null : long.shift()!));
  return { ...value, dims: dims.with(at, times), parts };
}

/** The axes of an image along which it has more than one px or channel. */
const axesOfLength = (image: ImageValue): Axis[] => {
  const dims = dimsOf(image);
  return image.axes.filter((_, d) => dims[d] !== 1);
};

/** Rows or columns, where a dimension comes right behind them. */
function axisBehindWhich(image: ImageValue, dims: readonly number[], at: number): 'h' | 'w' | null {
  if (dims[at - 1] === 1) return null;
  const axis = axesOfLength(image)[dims.slice(0, at).filter((n) => n !== 1).length - 1];
  return axis === 'h' || axis === 'w' ? axis : null;
}

/** A map whose px are repeated, as a new shape makes it of one with a dimension of copies. */
export function merged(
  c: NodeContext,
  { image, parts }: MixedValue & { readonly parts: readonly Part[] },
  dims: readonly number[],
): ImageValue {
  const lengths = { n: 1, c: image.channels, h: image.sizes[0], w: image.sizes[1] };
  const factors = { h: 1, w: 1 };
  const axes: Axis[] = [];
  for (const part of parts) {
    if (part === null) continue;
    if (typeof part === 'string') {
      axes.push(part);
      continue;
    }
    if (axes.at(-1) !== part.of) c.unsupported('it brings copies of px together otherwise than side by side');
    factors[part.of] = part.times;
    lengths[part.of] *= part.times;
  }
  const long = dims.filter((n) => n !== 1).join();
  if (dims.length !== 4 || dims[0] !== 1 || long !== axes.map((axis) => lengths[axis]).join())
    c.unsupported(`it makes a tensor of shape [${dims}] of copies of px`);
  const order = dims.map((n, d): Axis => (d === 0 ? 'n' : n === 1 ? 'c' : axes.shift()!));
  return c.emit({
    images: [image],
    axes: order,
    steps: [repeat(factors.h), repeat(factors.w)],
    parameters: { factors, order },
    compute: ([x]) => {
      const [, rows, columns] = x!.shape;
      return tf.image.resizeNearestNeighbor(x!, [rows * factors.h, columns * factors.w]);
    },
  });
}
