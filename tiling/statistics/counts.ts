import type { Moments } from './exact-moments.js';

/** Channels whose values are one set. */
export interface Group {
  readonly channels: readonly number[];
}

/** A group, and the ranks of values that are wanted of it, from 0 for the least. */
export interface RankedGroup extends Group {
  readonly ranks: readonly number[];
}

/** A group, and what its values are before they are added up: as they are where it is null. */
export interface MappedGroup extends Group {
  readonly map: ((value: number) => number) | null;
}

/** Exact counts of an image's values, whose results depend on the values alone. No channel is in two groups. */
export interface ValueCounts {
  /** Values of each channel. */
  readonly count: number;
  /** The values of these ranks, for each group. */
  valuesOf(groups: readonly RankedGroup[]): Promise<number[][]>;
  /** Mean and deviation of each group's values; mapped ones are rounded to floats. */
  momentsOf(groups: readonly MappedGroup[]): Promise<Moments[]>;
}
