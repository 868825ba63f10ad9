import { CorruptImageError, ImageTooLargeError } from '../errors.js';
import type { Size } from '../geometry.js';

export interface OpenOptions {
  /** Where pictures without random access are unpacked; must exist. */
  readonly scratchDir: string;
  /** Width times height at most. */
  readonly maxPixels: number;
  /** Which image of a file that holds several, from 0. Default 0. */
  readonly page?: number;
  readonly signal?: AbortSignal;
}

export function checkPixels({ width, height }: Size, { maxPixels }: OpenOptions): void {
  if (!(width >= 1 && height >= 1)) throw new CorruptImageError(`the image claims ${width} × ${height} px`);
  if (width * height > maxPixels) throw new ImageTooLargeError(width, height, maxPixels);
}
