import { describe, expect, it } from 'vitest';
import { Random } from '../../loadtest/measure/random.js';
import { isLevel, type Reading, trendOf } from '../../loadtest/measure/trend.js';
import { isGrowing } from '../../loadtest/scenarios/soak.js';

const OPTIONS = { confidence: 0.99, blockS: 60, seed: 1 } as const;

/** Readings every 10 s of half an hour. */
function readings(valueAt: (atS: number, noise: number) => number, seed = 1): Reading[] {
  const random = new Random(seed);
  return Array.from({ length: 180 }, (_, i) => {
    const noise = random.next() + random.next() + random.next() - 1.5; // of a standard deviation of one half
    return { atS: i * 10, value: valueAt(i * 10, noise) };
  });
}

describe('a trend', () => {
  it('is the slope of a line, without noise', () => {
    const trend = trendOf(
      readings((atS) => 300 + atS / 60),
      OPTIONS,
    );
    expect(trend).toMatchObject({ perHour: 60, perHourLow: 60, perHourHigh: 60, noise: 0 });
    expect(trend.change).toBeCloseTo(29.833, 3);
    expect(isLevel(trend)).toBe(false);
  });

  it('is level for noise alone, in nearly all runs', () => {
    const level = Array.from({ length: 12 }, (_, seed) =>
      isLevel(
        trendOf(
          readings((_, noise) => 300 + 20 * noise, seed),
          OPTIONS,
        ),
      ),
    );
    expect(level.filter((each) => !each).length).toBeLessThanOrEqual(1);
  });

  it('finds growth that is small beside the noise of single readings', () => {
    // 20 MB in half an hour, of readings that scatter by 10.
    const trend = trendOf(
      readings((atS, noise) => 300 + (20 * atS) / 1800 + 20 * noise),
      OPTIONS,
    );
    expect(isLevel(trend)).toBe(false);
    expect(trend.noise).toBeGreaterThan(8);
    expect(trend.perHour).toBeGreaterThan(30);
    expect(trend.perHour).toBeLessThan(50);
  });

  it('is growth to a soak of minutes beyond what heaps do in minutes', () => {
    const grown = (share: number) =>
      trendOf(
        readings((atS, noise) => 300 * (1 + (share * atS) / 1800) + noise),
        OPTIONS,
      );
    expect([grown(0.03), grown(0.1)].map(isLevel)).toEqual([false, false]);
    expect([grown(0.03), grown(0.1), grown(-0.1)].map(isGrowing)).toEqual([false, true, false]);
  });

  it('is not moved by outliers, such as a process that is being replaced', () => {
    const trend = trendOf(
      readings((atS, noise) => (atS % 60 === 0 ? 40 : 300) + noise),
      OPTIONS,
    );
    expect(Math.abs(trend.perHour)).toBeLessThan(1);
    expect(isLevel(trend)).toBe(true);
  });

  it('has a wider interval where neighbours depend on each other', () => {
    const slow = readings((atS, noise) => 300 + 10 * Math.sin(atS / 100) + noise);
    const trusting = trendOf(slow, { ...OPTIONS, blockS: 10 });
    const careful = trendOf(slow, { ...OPTIONS, blockS: 300 });
    const width = ({ perHourLow, perHourHigh }: typeof careful) => perHourHigh - perHourLow;
    expect(width(careful)).toBeGreaterThan(1.5 * width(trusting));
  });
});
