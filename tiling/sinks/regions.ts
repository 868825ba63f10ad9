import { type Rect, runs, type Size } from '../geometry.js';
import { type Region, RegionSweep } from '../regions/sweep.js';
import type { MaskArray, MaskSink } from '../sink.js';
import type { ImageSource, PixelReader } from '../source.js';

/** Writes down regions as they are found. */
export interface RegionWriter {
  add(region: Region): void;
  /** Waits until what was added is not piling up. */
  drain(): Promise<void>;
  finish(): Promise<void>;
  abort(): Promise<void>;
}

/** Rows whose pixels are read at a time. */
const ROWS = 64;

/**
 * Finds the regions of a mask whose bands are as wide as the image, and gives them to their writers while
 * the bands come.
 */
export class RegionSink implements MaskSink {
  readonly #sweep: RegionSweep;
  readonly #pixels: PixelReader | null;

  /** @param source the image, for mean intensities of its stored values; null where none are wanted */
  constructor(
    private readonly size: Size,
    private readonly writers: readonly RegionWriter[],
    { contours, source }: { readonly contours: boolean; readonly source: ImageSource | null },
  ) {
    this.#sweep = new RegionSweep({
      width: size.width,
      channels: source?.facts.channels ?? 0,
      contours,
      onRegion: (region) => {
        for (const writer of writers) writer.add(region);
      },
    });
    this.#pixels = source && (source.stored ?? source);
  }

  async writeBand(rect: Rect, labels: MaskArray): Promise<void> {
    const { width } = this.size;
    if (rect.width !== width) throw new Error('regions are found in whole rows');
    for (const { start, stop } of runs({ start: 0, stop: rect.height }, ROWS)) {
      const region = { x: 0, y: rect.y + start, width, height: stop - start };
      const raster = this.#pixels && (await this.#pixels.readRegion(region));
      for (let row = start; row < stop; row++) {
        const length = width * (raster?.channels ?? 0);
        const pixels = raster?.data.subarray((row - start) * length, (row - start + 1) * length) ?? null;
        this.#sweep.row(labels.subarray(row * width, (row + 1) * width) as Uint8Array, pixels);
      }
      for (const writer of this.writers) await writer.drain();
    }
  }

  async finish(): Promise<void> {
    this.#sweep.finish();
    for (const writer of this.writers) await writer.finish();
  }

  async abort(): Promise<void> {
    for (const writer of this.writers) await writer.abort();
  }
}
