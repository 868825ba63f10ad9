import { median } from '../../loadtest/measure/percentiles.js';
import { isLevel, type Reading, type Trend, trendOf } from '../../loadtest/measure/trend.js';
import type { Sighting } from './watch.js';

/**
 * One in twenty soaks finds a series that seems to grow, of ten that are level. Readings are taken as dependent over
 * two minutes: as long as a worker's life and half of the next.
 */
const OPTIONS = { confidence: 0.99, blockS: 120, seed: 1 } as const;
/** A worker starts, loads its model and fills its memory: younger ones are not looked at. */
const YOUNG_S = 15;
/** Workers of the same age, to within this, are compared. */
const AGE_STEP_S = 5;

export interface SoakTrend extends Trend {
  /** Whether the slope is zero within its noise, or negative. */
  readonly isLevel: boolean;
}

/**
 * The trend of every series. The worker's are corrected for its age: of each reading, the median of all workers of that
 * age is subtracted, since a killed one starts small and grows.
 */
export function trendsOf(
  sightings: readonly Sighting[],
  areWorkersKilled: boolean,
): Record<string, SoakTrend> {
  const names = new Set(sightings.flatMap(({ values }) => Object.keys(values)));
  const trends: Record<string, SoakTrend> = {};
  for (const name of names) {
    const isOfWorker = name.startsWith('worker') && areWorkersKilled;
    const seen = sightings.filter(
      ({ values, workerAgeS }) => values[name] !== undefined && (!isOfWorker || workerAgeS >= YOUNG_S),
    );
    const readings = isOfWorker
      ? withoutAge(seen, name)
      : seen.map(({ atS, values }) => ({ atS, value: values[name]! }));
    if (readings.length < 10) continue;
    const trend = trendOf(readings, OPTIONS);
    trends[name] = { ...trend, isLevel: isLevel(trend) };
  }
  return trends;
}

function withoutAge(seen: readonly Sighting[], name: string): Reading[] {
  const ageOf = ({ workerAgeS }: Sighting) => Math.round(workerAgeS / AGE_STEP_S);
  const byAge = new Map<number, number[]>();
  for (const each of seen) byAge.set(ageOf(each), [...(byAge.get(ageOf(each)) ?? []), each.values[name]!]);
  const level = median(seen.map(({ values }) => values[name]!));
  return seen.map((each) => ({
    atS: each.atS,
    value: each.values[name]! - median(byAge.get(ageOf(each))!) + level,
  }));
}
