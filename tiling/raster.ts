import type { Size } from './geometry.js';

/** Types of pixel values: unsigned integers as stored, floats for signed and floating-point images. */
export type Dtype = 'uint8' | 'uint16' | 'float32';
export type PixelArray = Uint8Array | Uint16Array | Float32Array;

/** Pixels in memory, rows from the top, channels interleaved: `data.length = width · height · channels`. */
export interface Raster extends Size {
  readonly data: PixelArray;
  readonly channels: number;
}

const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array } as const;

/** A zeroed array of `length` values. */
export function pixelArray(dtype: Dtype, length: number): PixelArray {
  return new ARRAYS[dtype](length);
}

/** Bytes of one value. */
export const bytesOf = (dtype: Dtype): number => ARRAYS[dtype].BYTES_PER_ELEMENT;

/** The values of black and white, which a network sees as 0 and 1. */
export type ValueRange = readonly [low: number, high: number];

/** A range, and the type of stored values that it applies to: `uint16`, `int16`, … */
export interface TypedRange {
  readonly range: ValueRange;
  readonly type: string;
}
