import * as tf from '@tensorflow/tfjs-core';
import { channelConversion, type Pixels, rangeOf } from './pixels.js';

/** Rec. 601 luma weights of red, green and blue. */
const LUMA = [0.299, 0.587, 0.114] as const;

/**
 * Converts pixels `[n, h, w, channels]`, as stored or in [0, 1], to a network's input `[n, h, w, modelChannels]` in
 * [0, 1]. Every step is pointwise, so the result does not depend on the tile. Call it inside `tf.tidy`.
 */
export function normalise(
  pixels: Pixels,
  shape: [number, number, number, number],
  modelChannels: number,
): tf.Tensor4D {
  const x = pixels instanceof Float32Array ? tf.tensor4d(pixels, shape) : scaleToUnit(pixels, shape);
  switch (channelConversion(shape[3], modelChannels)) {
    case 'none':
      return x;
    case 'copied':
      return tf.concat([x, x, x], 3);
    case 'luminance': {
      const [red, green, blue] = tf.split(x, 3, 3).map((channel, i) => tf.mul(channel, tf.scalar(LUMA[i]!)));
      return tf.add(tf.add(red!, green!), blue!) as tf.Tensor4D;
    }
    case null:
      throw new RangeError(`${shape[3]} channels for a model of ${modelChannels}`);
  }
}

function scaleToUnit(pixels: Uint8Array | Uint16Array, shape: [number, number, number, number]): tf.Tensor4D {
  const stored = tf.tensor4d(new Int32Array(pixels), shape, 'int32');
  return tf.div(tf.cast(stored, 'float32'), tf.scalar(rangeOf(pixels))) as tf.Tensor4D;
}
