import { type Rect, runs, type Size } from '../../tiling/geometry.js';
import type { ImageSource } from '../../tiling/source.js';

/** Sheets are for a look: a picture in them has at most so many px a side. */
export const CELL_PX = 256;
const BAND_PX = 512;

/** A picture made small by nearest pixels while its parts come, in any order: it is never in memory whole. */
export class Miniature implements Size {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
  readonly #scale: number;

  /** @param channels values a pixel, interleaved */
  constructor(
    size: Size,
    readonly channels = 1,
  ) {
    this.#scale = Math.max(1, Math.max(size.width, size.height) / CELL_PX);
    this.width = Math.max(1, Math.floor(size.width / this.#scale));
    this.height = Math.max(1, Math.floor(size.height / this.#scale));
    this.data = new Float32Array(this.width * this.height * channels);
  }

  put({ x, y, width, height }: Rect, values: ArrayLike<number>): void {
    const { channels } = this;
    for (let row = this.#first(y); row < this.height && this.#at(row) < y + height; row++) {
      for (let column = this.#first(x); column < this.width && this.#at(column) < x + width; column++) {
        const from = ((this.#at(row) - y) * width + this.#at(column) - x) * channels;
        const to = (row * this.width + column) * channels;
        for (let c = 0; c < channels; c++) this.data[to + c] = values[from + c]!;
      }
    }
  }

  /** The place that a small pixel is taken from, along one side. */
  #at(small: number): number {
    return Math.floor(small * this.#scale);
  }

  /** The first small pixel that is taken from a place or from beyond it. */
  #first(place: number): number {
    let small = Math.max(0, Math.floor(place / this.#scale) - 1);
    while (this.#at(small) < place) small++;
    return small;
  }
}

/** A picture made small, read in bands. */
export async function miniatureOf(source: ImageSource): Promise<Miniature> {
  const { width, height } = source.size;
  const miniature = new Miniature(source.size, source.facts.channels);
  for (const { start, stop } of runs({ start: 0, stop: height }, BAND_PX)) {
    const rect = { x: 0, y: start, width, height: stop - start };
    miniature.put(rect, (await source.readRegion(rect)).data);
  }
  return miniature;
}
