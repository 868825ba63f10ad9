import { hash } from '../../tiling/samples/random.js';

/** A seeded random generator, with the same sequence on every machine. */
export class Random {
  #drawn = 0;

  constructor(readonly seed: number) {}

  /** An integer of [0, below). */
  below(below: number): number {
    return Math.floor((hash(this.#drawn++, this.seed & 0xffff, this.seed >>> 16) / 2 ** 32) * below);
  }

  /** An integer of [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.below(1 << 20) < probability * (1 << 20);
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
}
