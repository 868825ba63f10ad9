import { type Rect, runs, type Size } from '../../../tiling/geometry.js';
import type { ImageSource } from '../../../tiling/source.js';

/** Longest side of a thumbnail, in px. */
export const CELL_PX = 256;
const BAND_PX = 512;

/** A thumbnail by nearest neighbour, filled from parts in any order, so that the image is never in memory whole. */
export class Miniature implements Size {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
  readonly #scale: number;

  /** @param channels values per pixel, interleaved */
  constructor(
    size: Size,
    readonly channels = 1,
  ) {
    this.#scale = Math.max(1, Math.max(size.width, size.height) / CELL_PX);
    this.width = Math.max(1, Math.floor(size.width / this.#scale));
    this.height = Math.max(1, Math.floor(size.height / this.#scale));
    this.data = new Float32Array(this.width * this.height * channels);
  }

  /** Takes what it needs of a part: `width · height · channels` values. */
  put({ x, y, width, height }: Rect, values: ArrayLike<number>): void {
    const { channels } = this;
    for (let row = this.#firstFrom(y); row < this.height && this.#sourceOf(row) < y + height; row++) {
      for (
        let column = this.#firstFrom(x);
        column < this.width && this.#sourceOf(column) < x + width;
        column++
      ) {
        const from = ((this.#sourceOf(row) - y) * width + this.#sourceOf(column) - x) * channels;
        const to = (row * this.width + column) * channels;
        for (let c = 0; c < channels; c++) this.data[to + c] = values[from + c]!;
      }
    }
  }

  /** The index in the image that index `i` of the thumbnail samples, along one axis. */
  #sourceOf(i: number): number {
    return Math.floor(i * this.#scale);
  }

  /** The first index of the thumbnail that samples the image at `source` or beyond. */
  #firstFrom(source: number): number {
    let i = Math.max(0, Math.floor(source / this.#scale) - 1);
    while (this.#sourceOf(i) < source) i++;
    return i;
  }
}

/** The thumbnail of an image, which is read band by band. */
export async function miniatureOf(source: ImageSource): Promise<Miniature> {
  const { width, height } = source.size;
  const miniature = new Miniature(source.size, source.facts.channels);
  for (const { start, stop } of runs({ start: 0, stop: height }, BAND_PX)) {
    const rect = { x: 0, y: start, width, height: stop - start };
    miniature.put(rect, (await source.readRegion(rect)).data);
  }
  return miniature;
}
