import { type Constant, permuted, sizeOf } from '../constant.js';
import type { NodeContext } from '../node-context.js';
import type { ImageValue, Weight } from '../values.js';

/** A constant as a weight, with its dimensions in another order if one is given. */
export const weightOf = (constant: Constant, perm?: readonly number[]): Weight => ({
  shape: perm ? perm.map((d) => constant.dims[d]!) : constant.dims,
  of: constant,
  read: () => (perm ? permuted(constant, perm) : constant).values as Float32Array,
});

/** A constant that an image is computed with: a scalar, or a number for each channel, `[C]`. */
export function perChannel(c: NodeContext, constant: Constant, image: ImageValue): Weight {
  const { dims, values } = constant;
  const count = sizeOf(dims);
  const { axes } = image;
  if (dims.length > axes.length)
    c.unsupported(`a constant of shape [${dims}] has more dimensions than its image`);
  const read = () => Float32Array.from(values);
  if (count === 1) return { shape: [], of: constant, read };
  for (const [i, axis] of axes.entries()) {
    const n = dims[i - axes.length + dims.length] ?? 1;
    if (n === 1 || axis === 'c') continue;
    c.inexact('it computes with numbers that depend on the position in the tile');
  }
  return { shape: [count], of: constant, read };
}

/** A constant of one number for each channel. */
export function perChannelOf(c: NodeContext, i: number, channels: number): Constant {
  const found = c.required(i);
  if (found.dims.length === 1 && found.dims[0] === channels) return found;
  return c.unsupported(`its input ${i} has the shape [${found.dims}], for ${channels} channels`);
}
