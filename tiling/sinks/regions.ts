import { type Rect, runs, type Size } from '../geometry.js';
import type { Plane } from '../planes.js';
import type { Region } from '../regions/region.js';
import { RegionSweep } from '../regions/sweep.js';
import type { MaskArray, MaskSink } from '../sink.js';
import type { ImageSource, PixelReader } from '../source.js';
import type { ImageStack } from '../stack.js';

/** Writes the regions of a mask as they are found; completed and aborted as a `MaskSink` is. */
export interface RegionWriter {
  /** @param plane where the region is in the image's stack; null for an image that is none */
  add(region: Region, plane: Plane | null): void;
  /** Resolves when few enough regions are buffered to add more. Called after some rows. */
  drain(): Promise<void>;
  finish(): Promise<void>;
  abort(): Promise<void>;
}

/** Rows of the image that are read at a time. */
const ROWS = 64;

export interface RegionSinkOptions {
  readonly contours: boolean;
  /** The image, for mean intensities of its stored values; null for none. */
  readonly source: ImageSource | null;
  /** Its planes, where it is segmented as a stack. A region is of one plane; ids are those of the whole stack. */
  readonly stack: ImageStack | null;
}

/** Finds the regions of a mask while its bands come, which must be as wide as the image, for some writers. */
export class RegionSink implements MaskSink {
  #plane = 0;
  #sweep: RegionSweep;
  #pixels: PixelReader | null;

  constructor(
    private readonly size: Size,
    private readonly writers: readonly RegionWriter[],
    private readonly options: RegionSinkOptions,
  ) {
    this.#sweep = this.#newSweep(0);
    this.#pixels = this.#pixelsOf(0);
  }

  async writeBand(rect: Rect, labels: MaskArray, plane: number): Promise<void> {
    const { width } = this.size;
    if (rect.width !== width) throw new Error('regions are found in whole rows only');
    if (plane !== this.#plane) {
      this.#sweep.finish();
      this.#plane = plane;
      this.#sweep = this.#newSweep(this.#sweep.count);
      this.#pixels = this.#pixelsOf(plane);
    }
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

  #newSweep(idsBefore: number): RegionSweep {
    const { contours, source, stack } = this.options;
    const plane = stack && stack.planes[this.#plane]!;
    return new RegionSweep({
      width: this.size.width,
      channels: source?.facts.channels ?? 0,
      contours,
      idsBefore,
      onRegion: (region) => {
        for (const writer of this.writers) writer.add(region, plane);
      },
    });
  }

  #pixelsOf(plane: number): PixelReader | null {
    const { source, stack } = this.options;
    const own = source && (stack?.source(plane) ?? source);
    return own && (own.stored ?? own);
  }
}
