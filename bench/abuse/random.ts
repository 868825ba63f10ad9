import { hash } from '../../tiling/samples/random.js';

/** Draws from a seed: the same seed gives the same draws on every machine. */
export class Random {
  #drawn = 0;

  constructor(readonly seed: number) {}

  /** An integer from 0 to `below`, which it does not reach. */
  below(below: number): number {
    return Math.floor((hash(this.#drawn++, this.seed & 0xffff, this.seed >>> 16) / 2 ** 32) * below);
  }

  /** An integer of an interval, both ends included. */
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
