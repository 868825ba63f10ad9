import tf = require('@tensorflow/tfjs-core');

import { channelConversion, LUMA } from './pixels.js';

/**
 * Converts pixels as stored `[n, h, w, channels]` to a network's input `[n, h, w, modelChannels]` in [0, 1]. Every step
 * is pointwise, so the result does not depend on the tile. Call it inside `tf.tidy`.
 *
 * @param range the maximum of their type, by which they are divided; see `rangeOf`
 */
export function normalise(stored: tf.Tensor4D, range: tf.Tensor, modelChannels: number): tf.Tensor4D {
  return convertChannels(tf.div(stored, range) as tf.Tensor4D, modelChannels);
}

/**
 * Converts pixels as stored `[n, h, w, channels]` to a network's input `[n, h, w, modelChannels]`, by numbers of each tile
 * and channel. Every step is pointwise here, too. Call it inside `tf.tidy`.
 *
 * @param scale the parts of a `TileScale`, in the order of `SCALE_PARTS`: `[n, 1, 1, modelChannels]` each
 */
export function scaleValues(
  stored: tf.Tensor4D,
  scale: readonly tf.Tensor[],
  modelChannels: number,
): tf.Tensor4D {
  const [shift, factor, low, high] = scale as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  const scaled = tf.mul(tf.sub(convertChannels(stored, modelChannels), shift), factor);
  return tf.minimum(tf.maximum(scaled, low), high) as tf.Tensor4D;
}

/** Converts images `[n, h, w, channels]` to `[n, h, w, modelChannels]`. Call it inside `tf.tidy`. */
export function convertChannels(x: tf.Tensor4D, modelChannels: number): tf.Tensor4D {
  const channels = x.shape[3];
  switch (channelConversion(channels, modelChannels)) {
    case 'none':
      return x;
    case 'copied':
      return tf.concat([x, x, x], 3);
    case 'luminance': {
      const [red, green, blue] = tf.split(x, 3, 3).map((channel, i) => tf.mul(channel, tf.scalar(LUMA[i]!)));
      return tf.add(tf.add(red!, green!), blue!) as tf.Tensor4D;
    }
    case null:
      throw new RangeError(`${channels} channels for a model of ${modelChannels}`);
  }
}
