import type { Interval } from './geometry.js';

/**
 * Folds an index into `[0, n)` by mirroring at both borders without repeating the edge pixel
 * (`reflect`, numpy's and OpenCV's word; `symmetric` would repeat it). Any index, any n ≥ 1: an
 * image narrower than the halo is mirrored as often as it takes.
 */
export function reflectIndex(i: number, n: number): number {
  if (n === 1) return 0;
  const period = 2 * (n - 1);
  const folded = ((i % period) + period) % period;
  return folded < n ? folded : period - folded;
}

/** The smallest interval of `[0, n)` with all the indices that an interval reflects to. */
export function reflectedInterval({ start, stop }: Interval, n: number): Interval {
  if (stop - start >= 2 * n) return { start: 0, stop: n };
  let low = n;
  let high = 0;
  for (let i = start; i < stop; i++) {
    const folded = reflectIndex(i, n);
    low = Math.min(low, folded);
    high = Math.max(high, folded);
  }
  return { start: low, stop: high + 1 };
}

/** Clamps an index to `[0, n)`, as if the edge pixel were repeated. */
export function edgeIndex(i: number, n: number): number {
  return Math.min(n - 1, Math.max(0, i));
}

/** The smallest interval of `[0, n)` with all the indices that `edgeIndex` maps an interval to. */
export function edgeInterval({ start, stop }: Interval, n: number): Interval {
  return { start: edgeIndex(start, n), stop: edgeIndex(stop - 1, n) + 1 };
}
