import assert from 'node:assert/strict';
import { type Rect, runs, type Size } from '../geometry.js';
import { COLUMN_BLOCK_PX } from '../plan.js';
import { halve, type Reduction, type Values } from './halve.js';

/** What a pyramid is of, and the tiles that it is cut into. */
export interface PyramidFormat {
  /** Values per pixel, interleaved as they come. */
  readonly channels: number;
  /** The type of values, such as `Uint8Array`. */
  readonly array: new (
    length: number,
  ) => Values;
  /** How four pixels become one of the next level. */
  readonly overviews: Reduction;
  /** Width of a tile in px: a power of two, no more than a column block. */
  readonly tilePx: number;
  /** Its height: an even number. Default `tilePx`. */
  readonly stripPx?: number;
  /** How pixels come: in the bands of a plan, or in whole rows. Default `bands`. */
  readonly order?: 'bands' | 'rows' | undefined;
  /** How many levels there are. Default: as many as it takes until one tile holds the last. */
  readonly levels?: number | undefined;
}

/** Rows of pixels as high as a tile, of one column block, in px of their level. */
export interface PyramidStrip extends Rect {
  /** Reused for the next strip: not to be read once `onStrip` has settled. */
  readonly values: Values;
}

/** Sizes of a pyramid's levels: each half of the one before, rounded up. */
export function pyramidSizes(
  size: Size,
  { tilePx, levels }: Pick<PyramidFormat, 'tilePx' | 'levels'>,
): [Size, ...Size[]] {
  const sizes: [Size, ...Size[]] = [size];
  const isLast = ({ width, height }: Size): boolean =>
    levels === undefined ? width <= tilePx && height <= tilePx : sizes.length >= levels;
  for (let last = size; !isLast(last); sizes.push(last)) {
    last = { width: Math.ceil(last.width / 2), height: Math.ceil(last.height / 2) };
  }
  return sizes;
}

/**
 * Makes the levels of a pyramid from the bands of a mask, and passes them on in strips as high as a tile.
 *
 * Memory holds one strip of each level in one column block, and whole levels that are narrower than a tile in a block:
 * those of a 64th of the image's sides and less for tiles of 256 px, of a 32nd for 512 px. Strips are passed on as pixels
 * come, column block by column block, whatever the bands are: the same pixels make the same strips in the same order.
 */
export class Pyramid {
  readonly #levels: readonly Level[];
  /** Columns that come together. */
  readonly #blockPx: number;
  /** Levels whose tiles fit into a column block; the smaller ones are buffered. */
  readonly #streamedLevels: number;

  /** @param onStrip called with one strip at a time; `halve`s the next level's pixels while it is pending */
  constructor(
    size: Size,
    private readonly format: PyramidFormat,
    private readonly onStrip: (level: number, strip: PyramidStrip) => Promise<void>,
  ) {
    this.#blockPx = format.order === 'rows' ? Number.POSITIVE_INFINITY : COLUMN_BLOCK_PX;
    this.#streamedLevels = Math.log2(this.#blockPx / format.tilePx) + 1;
    this.#levels = pyramidSizes(size, format).map(
      (level, i) => new Level(level, i >= this.#streamedLevels, format),
    );
  }

  async writeBand(rect: Rect, data: Values): Promise<void> {
    const { channels } = this.format;
    // Tiles of all levels lie in one block: a plan whose blocks begin elsewhere would cut them.
    assert(rect.x % this.#blockPx === 0, `a band begins at column ${rect.x}, which begins no block`);
    for (const { start, stop } of runs({ start: rect.x, stop: rect.x + rect.width }, this.#blockPx)) {
      for (let row = 0; row < rect.height; row++) {
        const from = (row * rect.width + start - rect.x) * channels;
        const values = data.subarray(from, from + (stop - start) * channels);
        const strip = this.#levels[0]!.put(start, stop - start, rect.y + row, values);
        if (strip) await this.#passOn(0, strip);
      }
    }
  }

  /** Passes on the levels that were buffered. Called once, after the last band. */
  async finish(): Promise<void> {
    for (const [i, level] of this.#levels.entries()) {
      if (i < this.#streamedLevels) continue;
      for (const strip of level.bufferedStrips()) await this.#passOn(i, strip);
    }
  }

  async #passOn(index: number, strip: PyramidStrip): Promise<void> {
    const { channels, overviews } = this.format;
    const { x, y, width, height, values } = strip;
    const passing = this.onStrip(index, strip);
    const next = this.#levels[index + 1];
    const half = next && halve(values, width, height, channels, overviews);
    await passing;
    if (!next || !half) return;
    const halfWidth = Math.ceil(width / 2);
    for (let row = 0; row * 2 < height; row++) {
      const halved = half.subarray(row * halfWidth * channels, (row + 1) * halfWidth * channels);
      const complete = next.put(x / 2, halfWidth, y / 2 + row, halved);
      if (complete) await this.#passOn(index + 1, complete);
    }
  }
}

/** The rows of a level that are buffered until a strip is complete. */
class Level {
  /** The rows of the current strip, or of the whole level if it is buffered. */
  #values: Values;
  #strip: Rect = { x: 0, y: 0, width: 0, height: 0 };
  #filledRows = 0;

  /** @param isBuffered whether the whole level is held in memory, because it is narrower than tiles in a block */
  constructor(
    private readonly size: Size,
    private readonly isBuffered: boolean,
    private readonly format: PyramidFormat,
  ) {
    this.#values = this.#array(isBuffered ? size.width * size.height : 0);
  }

  /** Takes a row of a column block; returns the strip that it completes. */
  put(x: number, width: number, y: number, row: Values): PyramidStrip | null {
    const { channels } = this.format;
    if (this.isBuffered) {
      this.#values.set(row, (y * this.size.width + x) * channels);
      return null;
    }
    if (this.#filledRows === 0) {
      this.#strip = { x, y, width, height: Math.min(this.#height, this.size.height - y) };
      const { height } = this.#strip;
      if (this.#values.length !== width * height * channels) this.#values = this.#array(width * height);
    }
    this.#values.set(row, this.#filledRows * width * channels);
    if (++this.#filledRows < this.#strip.height) return null;
    this.#filledRows = 0;
    return { ...this.#strip, values: this.#values };
  }

  /** Cuts a buffered level into strips. */
  *bufferedStrips(): Generator<PyramidStrip> {
    const { width, height } = this.size;
    const row = width * this.format.channels;
    for (const { start, stop } of runs({ start: 0, stop: height }, this.#height)) {
      const values = this.#values.subarray(start * row, stop * row);
      yield { x: 0, y: start, width, height: stop - start, values };
    }
  }

  /** Rows of a strip. */
  get #height(): number {
    const { tilePx, stripPx = tilePx } = this.format;
    return stripPx;
  }

  #array(pixels: number): Values {
    return new this.format.array(pixels * this.format.channels);
  }
}
