import * as tf from '@tensorflow/tfjs-core';

/**
 * The intensity contract between training and serving, as a card states it: unsigned integers are
 * divided by the range of their type, so that 0 is black and 1 is the brightest that the type holds.
 */
export const NORMALISATION = 'type-range' as const;

/**
 * Pixels: integers as they are stored, or floats already in [0, 1]; interleaved, `data.length = tiles · height · width · channels`.
 */
export type Pixels = Uint8Array | Uint16Array | Float32Array;

/** What was done to an image's channels to suit a model; stated in receipts. */
export type ChannelConversion = 'none' | 'luminance' | 'copied';

/** Rec. 601 luma weights of red, green and blue. */
const LUMA = [0.299, 0.587, 0.114] as const;

/** How an image of so many channels (alpha not counted) is given to a model; null where it cannot be. */
export function channelConversion(imageChannels: number, modelChannels: number): ChannelConversion | null {
  if (imageChannels === modelChannels) return 'none';
  if (imageChannels === 3 && modelChannels === 1) return 'luminance';
  if (imageChannels === 1 && modelChannels === 3) return 'copied';
  return null;
}

/**
 * Pixels `[n, h, w, channels]`, as stored or already in [0, 1], as a network's input `[n, h, w, modelChannels]` in [0, 1].
 * Every step works on each pixel alone, so it cannot depend on the tile. To be called in a tidy scope.
 */
export function normalise(
  pixels: Pixels,
  shape: [number, number, number, number],
  modelChannels: number,
): tf.Tensor4D {
  const x = pixels instanceof Float32Array ? tf.tensor4d(pixels, shape) : scaled(pixels, shape);
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

function scaled(pixels: Uint8Array | Uint16Array, shape: [number, number, number, number]): tf.Tensor4D {
  const stored = tf.tensor4d(new Int32Array(pixels), shape, 'int32');
  return tf.div(tf.cast(stored, 'float32'), tf.scalar(rangeOf(pixels))) as tf.Tensor4D;
}

/** The brightest that pixels of this type can be: what they are divided by. */
export function rangeOf(pixels: Pixels): number {
  if (pixels instanceof Float32Array) return 1;
  return pixels instanceof Uint8Array ? 255 : 65535;
}
