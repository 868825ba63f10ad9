import { describe, expect, it } from 'vitest';
import type { Normalisation, NormalisationStep } from '../../../model/network/normalisation.js';
import {
  type ChannelMap,
  mapped,
  mapsOf,
  type StatisticPair,
  scaleOf,
} from '../../../model/network/tile-scale.js';

/** The steps one after the other, as their definitions say. */
function directly(steps: Normalisation, stored: number, pairs: readonly StatisticPair[]): number {
  const left = [...pairs];
  let x = stored;
  for (const step of steps) {
    if (step.step === 'type-range') x /= 255;
    else if (step.step === 'scale_linear') x = x * step.gain[0]! + step.offset[0]!;
    else if (step.step === 'clip') x = Math.min(step.max, Math.max(step.min, x));
    else if ('mean' in step) x = (x - step.mean[0]!) / step.deviation[0]!;
    else if ('low' in step) x = (x - step.low[0]!) / (step.high[0]! - step.low[0]!);
    else {
      const [first, second] = left.shift()!;
      x = (x - first) / ((step.step === 'scale_range' ? second - first : second) + step.eps);
    }
  }
  return x;
}

const range: NormalisationStep = { step: 'scale_range', percentiles: [1, 99.8], of: 'channel', eps: 1e-6 };
const clip = (min: number, max: number) => ({ step: 'clip', min, max }) as const;
const LISTS: readonly Normalisation[] = [
  [{ step: 'type-range' }],
  [{ step: 'type-range' }, { step: 'scale_linear', gain: [2], offset: [-1] }],
  [{ step: 'zero_mean_unit_variance', mean: [100], deviation: [15] }],
  [{ step: 'scale_range', low: [10], high: [20] }, clip(0, 1)],
  [range],
  [range, clip(0, 1), { step: 'scale_linear', gain: [-2], offset: [1] }, clip(-0.5, 3)],
  [clip(50, 200), range, { step: 'zero_mean_unit_variance', of: 'channel', eps: 1e-3 }, clip(-1, 2)],
];

describe('the steps of a normalisation', () => {
  it.each(LISTS)('are one map, which gives what each after the other does: %j', (...steps) => {
    const pairs: StatisticPair[] = [
      [12, 240],
      [0.4, 0.2],
    ];
    const [map] = mapsOf(
      steps,
      1,
      255,
      pairs.map((pair) => [pair]),
    ) as [ChannelMap];
    for (let value = -20; value < 300; value += 3.25) {
      expect(mapped(map, value)).toBeCloseTo(directly(steps, value, pairs), 9);
    }
  });

  it('shift a value before it is scaled, so that a small deviation of large values is not rounded', () => {
    const steps: Normalisation = [{ step: 'zero_mean_unit_variance', mean: [30_000], deviation: [0.5] }];
    expect(mapsOf(steps, 1, 1, [])).toMatchObject([{ shift: 30_000, factor: 2 }]);
  });

  it('are floats for each channel, without infinities', () => {
    const steps: Normalisation = [{ step: 'scale_linear', gain: [2, 4], offset: [0, -1] }];
    const { shift, factor, low, high } = scaleOf(mapsOf(steps, 2, 1, []));
    expect([...shift, ...factor]).toEqual([0, 0.25, 2, 4]);
    expect([...low, ...high].every(Number.isFinite)).toBe(true);
  });
});
