/** Mean and standard deviation of values, in their unit. */
export interface Moments {
  readonly mean: number;
  /** The standard deviation of the population: the root of the mean squared difference from the mean. */
  readonly deviation: number;
}

/** Exponents of floats, each with sums of its own. */
const EXPONENTS = 256;
/** Values that are added before sums of integers could exceed the 53 bits of a double. */
const MAX_PENDING = 2 ** 28;
const LOW = 2 ** 24;

/**
 * The sums of floats and of their squares, exactly: so mean and deviation depend on the values alone, in whatever order
 * and in whatever parts they are added. A float is an integer of 24 bits times a power of two; the integers of each power
 * are added in doubles, which hold them exactly, and then as integers of any length (after Kulisch).
 */
export class ExactMoments {
  readonly #sums = new Float64Array(EXPONENTS);
  /** The upper and the lower 24 bits of squares. */
  readonly #upper = new Float64Array(EXPONENTS);
  readonly #lower = new Float64Array(EXPONENTS);
  #pending = 0;
  /** In units of 2^-149 and 2^-298, those of the smallest float and its square. */
  #sum = 0n;
  #squares = 0n;
  #count = 0n;

  /** Adds every `stride`-th value. They must be finite. */
  add(values: Float32Array, from: number, to: number, stride: number): void {
    const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
    let added = 0;
    for (let i = from; i < to; i += stride, added++) {
      const word = bits[i]!;
      const field = (word >>> 23) & 255;
      const mantissa = field === 0 ? word & 0x7fffff : (word & 0x7fffff) | 0x800000;
      const exponent = field === 0 ? 1 : field;
      const square = mantissa * mantissa;
      const upper = Math.floor(square / LOW);
      this.#sums[exponent]! += word < 0 ? -mantissa : mantissa;
      this.#upper[exponent]! += upper;
      this.#lower[exponent]! += square - upper * LOW;
    }
    this.#count += BigInt(added);
    this.#pending += added;
    if (this.#pending > MAX_PENDING - STRETCH) this.#flush();
  }

  /** Adds a value as often as it is there. */
  addRepeated(value: number, count: number): void {
    const one = new ExactMoments();
    one.add(Float32Array.of(value), 0, 1, 1);
    one.#flush();
    this.#sum += one.#sum * BigInt(count);
    this.#squares += one.#squares * BigInt(count);
    this.#count += BigInt(count);
  }

  /** Of all values so far; there must be one. */
  get moments(): Moments {
    this.#flush();
    return momentsOf(this.#count, this.#sum, this.#squares, 2 ** -149, 2 ** -298);
  }

  #flush(): void {
    for (let e = 1; e < EXPONENTS; e++) {
      this.#sum += BigInt(this.#sums[e]!) << BigInt(e - 1);
      const square = BigInt(this.#upper[e]!) * BigInt(LOW) + BigInt(this.#lower[e]!);
      this.#squares += square << BigInt(2 * (e - 1));
    }
    for (const sums of [this.#sums, this.#upper, this.#lower]) sums.fill(0);
    this.#pending = 0;
  }
}

/** Values that one call adds, at most. */
const STRETCH = 2 ** 20;

/** Mean and deviation, from exact sums: each is rounded a few times, and always alike. */
export function momentsOf(count: bigint, sum: bigint, squares: bigint, unit = 1, squaredUnit = 1): Moments {
  const n = Number(count);
  const mean = (Number(sum) / n) * unit;
  const variance = (Number(count * squares - sum * sum) / (n * n)) * squaredUnit;
  return { mean, deviation: Math.sqrt(variance) };
}
