import { type Rect, runs, type Size } from '../geometry.js';
import type { Region } from '../regions/region.js';
import { RegionSweep } from '../regions/sweep.js';
import type { MaskArray, MaskSink } from '../sink.js';
import type { ImageSource, PixelReader } from '../source.js';

/** Writes the regions of a mask as they are found; completed and aborted as a `MaskSink` is. */
export interface RegionWriter {
  add(region: Region): void;
  /** Resolves when few enough regions are buffered to add more. Called after some rows. */
  drain(): Promise<void>;
  finish(): Promise<void>;
  abort(): Promise<void>;
}

/** Rows of the image that are read at a time. */
const ROWS = 64;

/** Finds the regions of a mask while its bands come, which must be as wide as the image, for some writers. */
export class RegionSink implements MaskSink {
  readonly #sweep: RegionSweep;
  readonly #pixels: PixelReader | null;

  /** @param source the image, for mean intensities of its stored values; null for none */
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
    if (rect.width !== width) throw new Error('regions are found in whole rows only');
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
