import { type Rect, runs, type Size } from '../../geometry.js';
import { PIXEL_TYPES, planesOf, type TiffFormat } from './format.js';
import type { Values } from './halve.js';

/** Side of the file's own tiles in px; the TIFF requires a multiple of 16. */
export const TIFF_TILE_PX = 256;

/** Sizes of a pyramid's levels: each half of the one before, rounded up, until one tile holds it. */
export function levelSizes(size: Size): Size[] {
  const sizes = [size];
  for (let { width, height } = size; width > TIFF_TILE_PX || height > TIFF_TILE_PX; ) {
    [width, height] = [Math.ceil(width / 2), Math.ceil(height / 2)];
    sizes.push({ width, height });
  }
  return sizes;
}

/** Rows of pixels as high as the file's tiles, of one column block, in px of their level. */
export interface Strip extends Rect {
  readonly values: Values;
}

/** A level of the pyramid: where its tiles are, and the rows that are buffered until a strip is complete. */
export class Level {
  /** Tiles per row. */
  readonly across: number;
  /** Of each plane, of each tile. */
  readonly offsets: number[][];
  readonly byteCounts: number[][];
  /** The rows of the current strip, or of the whole level if it is buffered. */
  #values: Values;
  #strip: Rect = { x: 0, y: 0, width: 0, height: 0 };
  #filledRows = 0;

  /** @param isBuffered whether the whole level is held in memory, because it is narrower than tiles in a block */
  constructor(
    readonly size: Size,
    private readonly tile: Size,
    private readonly isBuffered: boolean,
    private readonly format: TiffFormat,
  ) {
    this.across = Math.ceil(size.width / TIFF_TILE_PX);
    const tiles = this.across * Math.ceil(size.height / tile.height);
    const zeros = () => Array.from({ length: planesOf(format) }, () => Array<number>(tiles).fill(0));
    this.offsets = zeros();
    this.byteCounts = zeros();
    this.#values = this.#array(isBuffered ? size.width * size.height : 0);
  }

  /** Takes a row of a column block; returns the strip that it completes. */
  put(x: number, width: number, y: number, row: Values): Strip | null {
    const { channels } = this.format;
    if (this.isBuffered) {
      this.#values.set(row, (y * this.size.width + x) * channels);
      return null;
    }
    if (this.#filledRows === 0) {
      this.#strip = { x, y, width, height: Math.min(this.tile.height, this.size.height - y) };
      const { height } = this.#strip;
      if (this.#values.length !== width * height * channels) this.#values = this.#array(width * height);
    }
    this.#values.set(row, this.#filledRows * width * channels);
    if (++this.#filledRows < this.#strip.height) return null;
    this.#filledRows = 0;
    return { ...this.#strip, values: this.#values };
  }

  /** Cuts a buffered level into strips. */
  *bufferedStrips(): Generator<Strip> {
    const { width, height } = this.size;
    const row = width * this.format.channels;
    for (const { start, stop } of runs({ start: 0, stop: height }, this.tile.height)) {
      const values = this.#values.subarray(start * row, stop * row);
      yield { x: 0, y: start, width, height: stop - start, values };
    }
  }

  #array(pixels: number): Values {
    return new PIXEL_TYPES[this.format.dtype].array(pixels * this.format.channels);
  }
}
