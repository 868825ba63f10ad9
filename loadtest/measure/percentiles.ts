/** The distribution of some values, in their unit; all 0 where there are none. */
export interface Distribution {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * A percentile by nearest rank: the smallest value that at least this share of all values do not exceed. It is always
 * one of the values, never a number between two of them.
 * @param sorted in ascending order
 * @param share of (0, 1]
 */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  // Rounded first: 0.95 × 20 is 19.000000000000004 in binary fractions on some paths, which is rank 19.
  const rank = Math.ceil(Number((share * sorted.length).toFixed(9)));
  return sorted[Math.max(0, rank - 1)] ?? 0;
}

export const median = (values: readonly number[]): number => {
  const sorted = ascending(values);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle]!;
  return sorted.length === 0 ? 0 : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

export function distributionOf(values: readonly number[]): Distribution {
  const sorted = ascending(values);
  const at = (share: number) => rounded(percentile(sorted, share));
  const mean = sorted.length === 0 ? 0 : sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  return {
    count: sorted.length,
    mean: rounded(mean),
    p50: at(0.5),
    p90: at(0.9),
    p95: at(0.95),
    p99: at(0.99),
    max: at(1),
  };
}

/** A bar of a histogram: the values of [from, to). */
export interface Bar {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** Bars of equal width on a logarithmic scale, eight for each factor of ten, from the least value to the greatest. */
export function histogramOf(values: readonly number[]): Bar[] {
  const positive = values.filter((value) => value > 0);
  if (positive.length === 0) return [];
  const bucketOf = (value: number) => Math.floor(Math.log10(value) * BARS_PER_DECADE);
  const buckets = positive.map(bucketOf);
  const first = Math.min(...buckets);
  const counts = Array.from({ length: Math.max(...buckets) - first + 1 }, () => 0);
  for (const bucket of buckets) counts[bucket - first]!++;
  const edge = (bucket: number) => 10 ** (bucket / BARS_PER_DECADE);
  return counts.map((count, i) => ({ from: edge(first + i), to: edge(first + i + 1), count }));
}
const BARS_PER_DECADE = 8;

const ascending = (values: readonly number[]): Float64Array => Float64Array.from(values).sort();

/** Three decimals: a report that nobody has to squint at. */
export const rounded = (value: number): number => Number(value.toFixed(3));
