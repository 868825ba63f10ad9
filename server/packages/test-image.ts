import type { StoredPixels } from '../../model/exchange/export-model.js';
import type { NpyArray } from '../../model/exchange/npy.js';
import { SAMPLE_KINDS } from '../../tiling/samples/sample.js';

/** Types of stored values that a package can be for, with the values of black and white. */
export const STORED_TYPES = {
  uint8: [0, 255],
  uint16: [0, 65535],
  float32: [0, 1],
} as const satisfies Record<string, readonly [number, number]>;
export type StoredType = keyof typeof STORED_TYPES;

const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array };

/** Floats as values of the type that they were stored in. */
export const pixelsOf = (type: StoredType, values: NpyArray['data']): StoredPixels =>
  ARRAYS[type].from(values);

/**
 * A synthetic picture `[side, side, channels]` to test a package with: each channel shows other shapes.
 * @param range the values of black and white
 */
export function paintTestImage(
  type: StoredType,
  side: number,
  channels: number,
  [low, high]: readonly [number, number],
): StoredPixels {
  const image = new ARRAYS[type](side * side * channels);
  const plane = new Uint8Array(side * side);
  const rect = { x: 0, y: 0, width: side, height: side };
  for (let channel = 0; channel < channels; channel++) {
    SAMPLE_KINDS.shapes.paint(rect, channel + 1, plane, new Uint8Array(plane.length));
    for (const [i, value] of plane.entries()) {
      const stored = low + (value / 255) * (high - low);
      image[i * channels + channel] = type === 'float32' ? stored : Math.round(stored);
    }
  }
  return image;
}
