import { median, rounded } from './percentiles.js';
import { Random } from './random.js';

/** A value at a time, in s. */
export interface Reading {
  readonly atS: number;
  readonly value: number;
}

/** How a value changes with time, in its unit. */
export interface Trend {
  readonly readings: number;
  readonly median: number;
  /** Change an hour: the median of the slopes between all pairs of readings (Theil-Sen). */
  readonly perHour: number;
  /** Between these is the slope with the stated confidence, given how the readings scatter. */
  readonly perHourLow: number;
  readonly perHourHigh: number;
  /** Change over the time of the readings. */
  readonly change: number;
  /** Scatter of single readings around the slope: 1.4826 times their median absolute deviation. */
  readonly noise: number;
}

export interface TrendOptions {
  /** Confidence of the interval, in (0, 1). */
  readonly confidence: number;
  /** Readings closer together than this, in s, are not taken for independent: at most a quarter of all. */
  readonly blockS: number;
  readonly seed: number;
}

const RESAMPLES = 400;
/** Pairs at most, for the slope itself and for that of each resample: of more, this many are drawn. */
const MAX_PAIRS = { slope: 50_000, resample: 1500 } as const;

/**
 * The slope of readings by Theil and Sen, which up to 29 % of outliers do not move, with an interval by a block
 * bootstrap: what is left of the readings without the slope is drawn again in blocks of consecutive ones, since
 * neighbours depend on each other, and the slope measured of each such series.
 */
export function trendOf(readings: readonly Reading[], { confidence, blockS, seed }: TrendOptions): Trend {
  const count = readings.length;
  if (count < 3) throw new Error(`a trend needs at least 3 readings, not ${count}`);
  const random = new Random(seed);
  const times = readings.map(({ atS }) => atS);
  const values = readings.map(({ value }) => value);
  const slope = slopeOf(times, values, random, MAX_PAIRS.slope);
  const level = median(values.map((value, i) => value - slope * times[i]!));
  const residuals = values.map((value, i) => value - level - slope * times[i]!);
  const spanS = times.at(-1)! - times[0]!;
  const block = Math.max(1, Math.min(count >> 2, Math.round((blockS / spanS) * (count - 1))));
  const slopes = Array.from({ length: RESAMPLES }, () => {
    const drawn = drawBlocks(residuals, block, random);
    return slope + slopeOf(times, drawn, random, MAX_PAIRS.resample);
  }).sort((a, b) => a - b);
  const tail = (1 - confidence) / 2;
  const at = (share: number) => slopes[Math.min(RESAMPLES - 1, Math.max(0, Math.floor(share * RESAMPLES)))]!;
  const perHour = (each: number) => rounded(each * 3600);
  return {
    readings: count,
    median: rounded(median(values)),
    perHour: perHour(slope),
    perHourLow: perHour(at(tail)),
    perHourHigh: perHour(at(1 - tail)),
    change: rounded(slope * spanS),
    noise: rounded(1.4826 * median(residuals.map(Math.abs))),
  };
}

/** Whether a slope is zero within its noise, or negative. */
export const isLevel = ({ perHourLow }: Trend): boolean => perHourLow <= 0;

function slopeOf(
  times: readonly number[],
  values: readonly number[],
  random: Random,
  maxPairs: number,
): number {
  const count = times.length;
  const slopes: number[] = [];
  const add = (i: number, j: number) => {
    if (times[i] !== times[j]) slopes.push((values[j]! - values[i]!) / (times[j]! - times[i]!));
  };
  if ((count * (count - 1)) / 2 <= maxPairs) {
    for (let i = 0; i < count; i++) for (let j = i + 1; j < count; j++) add(i, j);
  } else {
    for (let drawn = 0; drawn < maxPairs; drawn++) add(random.below(count), random.below(count));
  }
  return median(slopes);
}

/** Draws as many values in blocks of consecutive ones from random places (a moving-block bootstrap, Künsch 1989). */
function drawBlocks(values: readonly number[], block: number, random: Random): number[] {
  const drawn: number[] = [];
  while (drawn.length < values.length) {
    const start = random.below(values.length - block + 1);
    drawn.push(...values.slice(start, start + block));
  }
  return drawn.slice(0, values.length);
}
