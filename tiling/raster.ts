import type { Size } from './geometry.js';

/** The stored types of pixels: unsigned, 8 or 16 bits a channel. */
export type Dtype = 'uint8' | 'uint16';
export type PixelArray = Uint8Array | Uint16Array;

/** Pixels in memory, rows from the top, channels interleaved: `data.length = width · height · channels`. */
export interface Raster extends Size {
  readonly data: PixelArray;
  readonly channels: number;
}

/** A zeroed array for so many values. */
export function pixelArray(dtype: Dtype, length: number): PixelArray {
  return dtype === 'uint8' ? new Uint8Array(length) : new Uint16Array(length);
}
