/** A seeded generator of numbers in [0, 1): mulberry32, whose whole state is one 32-bit integer. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /**
   * An independent generator for each place in a training, such as (seed, epoch, crop). There is no state to save:
   * the place determines the numbers.
   */
  static at(...place: readonly number[]): Random {
    let seed = 0x9e3779b9;
    for (const n of place) {
      seed = Math.imul(seed ^ (n >>> 0), 0x85ebca6b);
      seed = Math.imul(seed ^ (seed >>> 13), 0xc2b2ae35);
      seed ^= seed >>> 16;
    }
    return new Random(seed);
  }

  /** A number in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer in [0, below). */
  integer(below: number): number {
    return Math.floor(this.next() * below);
  }

  /** A number in [low, high). */
  between(low: number, high: number): number {
    return low + this.next() * (high - low);
  }

  /** A number from the standard normal distribution (Box and Muller 1958). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }

  /** Shuffles a list in place (Fisher and Yates). */
  shuffle<T>(list: T[]): T[] {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [list[i], list[j]] = [list[j]!, list[i]!];
    }
    return list;
  }
}
