/** The ranks, from 0, of the two values between which a percentile lies, and where between them, from 0 to below 1. */
export interface Rank {
  readonly below: number;
  readonly above: number;
  readonly share: number;
}

/** Where a percentile of this many values lies, by linear interpolation: NumPy's default method. */
export function rankOf(percentile: number, count: number): Rank {
  const position = (count - 1) * (percentile / 100);
  const below = Math.floor(position);
  return { below, above: Math.min(count - 1, below + 1), share: position - below };
}

/**
 * A value between two others, rounded as NumPy does.
 * @param isFloat whether the values are floats of 32 bits, whose difference is one, too
 */
export function between(below: number, above: number, share: number, isFloat: boolean): number {
  const difference = isFloat ? Math.fround(above - below) : above - below;
  return share >= 0.5 ? above - difference * (1 - share) : below + difference * share;
}

/** The bin of ascending ones in which the value of a rank lies, and its rank in it. */
export function binOf(
  counts: ArrayLike<number>,
  rank: number,
): { readonly bin: number; readonly rank: number } {
  let passed = 0;
  for (let bin = 0; bin < counts.length; bin++) {
    const count = counts[bin]!;
    if (rank < passed + count) return { bin, rank: rank - passed };
    passed += count;
  }
  throw new RangeError(`there is no value of rank ${rank}: there are ${passed}`);
}

/** Counters that cannot overflow: those of 32 bits take half the memory. */
export const countersOf = (length: number, count: number): Uint32Array | Float64Array =>
  count < 2 ** 32 ? new Uint32Array(length) : new Float64Array(length);
