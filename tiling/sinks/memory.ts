import type { Rect, Size } from '../geometry.js';
import type { MaskArray, MaskSink } from '../sink.js';

/** Holds the whole mask in memory, for small images, validation and tests. */
export class MemorySink implements MaskSink {
  /** The mask, rows from the top, channels interleaved; null before the first band. */
  data: MaskArray | null = null;

  constructor(
    private readonly size: Size,
    private readonly channels: number,
  ) {}

  async writeBand(rect: Rect, band: MaskArray): Promise<void> {
    const values = this.size.width * this.size.height * this.channels;
    this.data ??= band instanceof Uint8Array ? new Uint8Array(values) : new Float32Array(values);
    const length = rect.width * this.channels;
    for (let row = 0; row < rect.height; row++) {
      const to = ((rect.y + row) * this.size.width + rect.x) * this.channels;
      this.data.set(band.subarray(row * length, (row + 1) * length), to);
    }
  }

  async finish(): Promise<void> {}

  async abort(): Promise<void> {
    this.data = null;
  }
}
