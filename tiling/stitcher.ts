import type { Band, Tile } from './plan.js';
import type { MaskArray, MaskSink } from './sink.js';

interface OpenBand {
  readonly band: Band;
  readonly data: MaskArray;
  missing: number;
}

/**
 * Assembles tiles to bands. Tiles come in any order; bands are written in the plan's order, each as soon as it and
 * those before it are complete. While one band is written, tiles of the next one are taken; `put` waits once that is
 * complete, too, so that a slow disk holds back the network instead of filling memory.
 */
export class Stitcher {
  readonly #open = new Map<number, OpenBand>();
  /** The array of a band that has been written, for the next one. */
  #spare: MaskArray | null = null;
  #next: number;
  /** The write of the latest complete band, and that of the one before. */
  #writing: Promise<void> = Promise.resolve();
  #writingBefore: Promise<void> = this.#writing;

  /**
   * @param channels values per pixel: 1 for labels, the number of classes for probabilities
   * @param onBand called when a band has been written
   * @param first index of the first band
   */
  constructor(
    private readonly sink: MaskSink,
    private readonly channels: number,
    private readonly onBand: (band: Band, durationMs: number) => void = () => {},
    first = 0,
  ) {
    this.#next = first;
  }

  /**
   * Copies a tile's output into its band.
   * @param output `outputWidth` px per row, of which the tile owns `tile.crop`
   * @throws what the sink threw while a band was written
   */
  async put(band: Band, tile: Tile, output: MaskArray, outputWidth: number): Promise<void> {
    const open = this.#open.get(band.index) ?? this.#start(band, output);
    const { channels } = this;
    const { write, crop } = tile;
    const length = write.width * channels;
    for (let row = 0; row < write.height; row++) {
      const from = ((crop.y + row) * outputWidth + crop.x) * channels;
      const to = ((write.y - band.write.y + row) * band.write.width + write.x - band.write.x) * channels;
      open.data.set(output.subarray(from, from + length), to);
    }
    open.missing--;
    this.#emit();
    await this.#writingBefore;
  }

  /**
   * Waits until every band has been written.
   * @throws what the sink threw, and where tiles are missing
   */
  async drain(): Promise<void> {
    await this.#writing;
    if (this.#open.size > 0) throw new Error(`${this.#open.size} bands are incomplete`);
  }

  #start(band: Band, like: MaskArray): OpenBand {
    const values = band.write.width * band.write.height * this.channels;
    const data =
      this.#takeSpare(values) ??
      (like instanceof Uint8Array ? new Uint8Array(values) : new Float32Array(values));
    const open = { band, data, missing: band.tiles.length };
    this.#open.set(band.index, open);
    return open;
  }

  #takeSpare(length: number): MaskArray | null {
    const spare = this.#spare?.length === length ? this.#spare : null;
    this.#spare = null;
    return spare;
  }

  #emit(): void {
    for (let open = this.#open.get(this.#next); open?.missing === 0; open = this.#open.get(this.#next)) {
      const { band, data } = open;
      this.#open.delete(this.#next++);
      this.#writingBefore = this.#writing;
      this.#writing = this.#writing.then(async () => {
        const started = performance.now();
        await this.sink.writeBand(band.write, data, band.plane);
        this.#spare = data;
        this.onBand(band, performance.now() - started);
      });
      this.#writing.catch(() => undefined); // reported by the next put, or by drain
    }
  }
}
