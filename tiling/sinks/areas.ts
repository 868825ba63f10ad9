import type { Rect } from '../geometry.js';
import type { MaskArray, MaskSink } from '../sink.js';

/** Counts the pixels of each class of a mask, and writes nothing. */
export class AreaCount implements MaskSink {
  readonly #counts = new Float64Array(256);

  /** Pixels of the first `classes` classes. */
  pixels(classes: number): number[] {
    return Array.from(this.#counts.subarray(0, classes));
  }

  async writeBand(_rect: Rect, labels: MaskArray): Promise<void> {
    const isAligned = labels instanceof Uint8Array && labels.byteOffset % 4 === 0;
    const counted = isAligned ? this.#countWords(labels) : 0;
    for (let i = counted; i < labels.length; i++) this.#counts[labels[i]!]!++;
  }

  async finish(): Promise<void> {}

  async abort(): Promise<void> {}

  /**
   * Counts four labels at a time, each in a table of its own: increments of one number would wait for each other.
   * Returns how many there were.
   */
  #countWords(labels: Uint8Array): number {
    const words = new Int32Array(labels.buffer, labels.byteOffset, labels.length >> 2);
    const tables = new Uint32Array(4 * 256);
    for (let i = 0; i < words.length; i++) {
      const word = words[i]!;
      tables[word & 255]!++;
      tables[256 + ((word >>> 8) & 255)]!++;
      tables[512 + ((word >>> 16) & 255)]!++;
      tables[768 + (word >>> 24)]!++;
    }
    for (const [i, count] of tables.entries()) this.#counts[i & 255]! += count;
    return words.length * 4;
  }
}
