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
    for (let i = 0; i < labels.length; i++) this.#counts[labels[i]!]!++;
  }

  async finish(): Promise<void> {}

  async abort(): Promise<void> {}
}
