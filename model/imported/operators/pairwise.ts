import type * as tf from '@tensorflow/tfjs-core';

import type { NodeContext } from '../node-context.js';
import { dimsOf, type GraphValue, type ImageValue } from '../values.js';
import { perChannel } from './weights.js';

/** A function of two tensors that broadcast against each other, of which one is an image. */
export function binary(compute: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): (c: NodeContext) => GraphValue {
  return (c) => pairwise(c, 0, 1, compute);
}

export function pairwise(
  c: NodeContext,
  i: number,
  j: number,
  compute: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
): ImageValue {
  const [a, b] = [c.values[i], c.values[j]];
  if (a?.kind === 'constant' || b?.kind === 'constant') {
    const isFirst = a?.kind === 'constant';
    const image = c.image(isFirst ? j : i);
    const weight = perChannel(c, c.required(isFirst ? i : j), image);
    const [count = 1] = weight.shape;
    if (count > 1 && image.channels > 1 && count !== image.channels) {
      c.unsupported(`it computes ${image.channels} channels with ${count} numbers`);
    }
    return c.emit({
      images: [image],
      channels: Math.max(image.channels, count),
      weights: [weight],
      parameters: { isFirst },
      compute: ([x], [w]) => (isFirst ? compute(w!, x!) : compute(x!, w!)) as tf.Tensor4D,
    });
  }
  const [x, y] = [c.image(i), c.image(j)];
  if (x.axes.join() !== y.axes.join()) {
    c.unsupported(`its images are [${x.axes.join(', ')}] and [${y.axes.join(', ')}]`);
  }
  if (x.channels !== y.channels && x.channels !== 1 && y.channels !== 1) {
    c.unsupported(`its images have ${x.channels} and ${y.channels} channels`);
  }
  // an image of one px, of a mean over the whole tile, is computed with each px
  const isSpread = (image: ImageValue, other: ImageValue) =>
    image.sizes.every((n, axis) => n === 1 && other.sizes[axis]! > 1);
  const images = isSpread(x, y) ? [y, x] : [x, y];
  if (!isSpread(x, y) && !isSpread(y, x) && x.sizes.join() !== y.sizes.join()) {
    c.misfit(`its images have shapes [${dimsOf(x)}] and [${dimsOf(y)}]`);
  }
  const isSwapped = images[0] !== x;
  return c.emit({
    images,
    channels: Math.max(x.channels, y.channels),
    parameters: { isSwapped },
    compute: ([first, second]) =>
      (isSwapped ? compute(second!, first!) : compute(first!, second!)) as tf.Tensor4D,
  });
}

/** A function of any number of tensors. */
export function variadic(compute: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): (c: NodeContext) => GraphValue {
  return (c) => {
    if (c.count === 1) return c.values[0]!;
    if (c.count === 2) return pairwise(c, 0, 1, compute);
    return c.unsupported(`it has ${c.count} inputs; only two are supported`);
  };
}
