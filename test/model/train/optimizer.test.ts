import { describe, expect, it } from 'vitest';
import type { OptimizerConfig } from '../../../model/train/choices.js';
import { Optimizer } from '../../../model/train/optimizer.js';
import { learningRateAt, SCHEDULES, type ScheduleConfig } from '../../../model/train/schedule.js';
import { noise } from '../../support/oracle.js';

const plain: OptimizerConfig = { kind: 'adam', momentum: 0.9, weightDecay: 0.1, clipNorm: null };
const start = noise(6, 1);
const gradientAt = (step: number) => noise(6, 10 + step, -3, 3);
const rate = 0.05;

/** The published update rules, in float64. */
function defined(config: OptimizerConfig, steps: number): number[] {
  const w = Array.from(start);
  const [m, v] = [w.map(() => 0), w.map(() => 0)];
  for (let t = 1; t <= steps; t++) {
    let g = Array.from(gradientAt(t));
    const norm = Math.hypot(...g);
    if (config.clipNorm !== null && norm > config.clipNorm) g = g.map((x) => (x * config.clipNorm!) / norm);
    for (const [i, x] of g.entries()) {
      if (config.kind === 'sgd') {
        m[i] = config.momentum * m[i]! + x;
        w[i]! -= rate * m[i]!;
        continue;
      }
      m[i] = 0.9 * m[i]! + 0.1 * x;
      v[i] = 0.999 * v[i]! + 0.001 * x * x;
      if (config.kind === 'adamw') w[i]! -= rate * config.weightDecay * w[i]!;
      w[i]! -= (rate * (m[i]! / (1 - 0.9 ** t))) / (Math.sqrt(v[i]! / (1 - 0.999 ** t)) + 1e-8);
    }
  }
  return w;
}

describe('an update', () => {
  it.each<[string, OptimizerConfig]>([
    ['sgd', { ...plain, kind: 'sgd' }],
    ['adam', plain],
    ['adamw', { ...plain, kind: 'adamw' }],
    ['clipped', { ...plain, kind: 'sgd', clipNorm: 0.5 }],
    ['not long enough to be clipped', { ...plain, clipNorm: 1000 }],
  ])('%s changes weights as published', async (_name, config) => {
    let weights: readonly Float32Array[] = [start.slice(0, 2), start.slice(2)];
    const optimizer = new Optimizer(config, [2, 4]);
    for (let step = 1; step <= 12; step++) {
      const g = gradientAt(step);
      weights = await optimizer.apply(weights, [g.slice(0, 2), g.slice(2)], { learningRate: rate });
    }
    const values = weights.flatMap((w) => Array.from(w));
    for (const [i, w] of defined(config, 12).entries()) expect(values[i]).toBeCloseTo(w, 4);
    expect(optimizer.steps).toBe(12);
  });

  it.each<[string, OptimizerConfig]>([
    ['sgd', { ...plain, kind: 'sgd' }],
    ['adamw, clipped', { ...plain, kind: 'adamw', clipNorm: 0.5 }],
  ])('has the same bits if a second thread does half of it: %s', async (_name, config) => {
    const lengths = [3, 40, 1, 7, 25];
    const run = async (usesSecondThread: boolean) => {
      const optimizer = new Optimizer(config, lengths, usesSecondThread);
      let weights: readonly Float32Array[] = lengths.map((n) => noise(n, n));
      for (let step = 0; step < 4; step++) {
        const gradients = lengths.map((n) => noise(n, n + step, -3, 3));
        weights = await optimizer.apply(weights, gradients, { learningRate: rate });
        const transferred = gradients.filter(({ buffer }) => buffer.byteLength === 0);
        expect(transferred.length > 0).toBe(usesSecondThread);
      }
      await optimizer.close();
      return { weights, slots: optimizer.slots };
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it.each<[string, OptimizerConfig]>([
    ['adam', plain],
    ['clipped', { ...plain, kind: 'sgd', clipNorm: 0.5 }],
  ])('by scaled sums is one by their mean: %s', async (_name, config) => {
    const run = async (gradient: Float32Array, scale: number) => {
      let weights: readonly Float32Array[] = [start.slice()];
      const optimizer = new Optimizer(config, [start.length]);
      for (let step = 0; step < 3; step++)
        weights = await optimizer.apply(weights, [gradient], { learningRate: rate, scale });
      return weights[0];
    };
    const mean = gradientAt(1);
    expect(
      await run(
        mean.map((g) => g * 4),
        0.25,
      ),
    ).toEqual(await run(mean, 1));
  });

  it.each(['sgd', 'adam'] as const)('leaves no denormal moments where gradients vanish: %s', async (kind) => {
    let weights: readonly Float32Array[] = [Float32Array.of(1)];
    const optimizer = new Optimizer({ ...plain, kind }, [1]);
    const moments: number[] = [];
    for (let step = 0; step < 2000; step++) {
      const gradients = [Float32Array.of(step === 0 ? 1e-20 : 0)];
      weights = await optimizer.apply(weights, gradients, { learningRate: rate });
      moments.push(...optimizer.slots.map((slot) => Math.abs(slot[0]!)));
    }
    expect(Math.min(...moments.filter((moment) => moment > 0))).toBeGreaterThanOrEqual(2 ** -126);
    expect(moments.at(-1)).toBeLessThan(1e-35);
    expect(weights[0]![0]).toBeGreaterThan(0);
  });
});

describe('schedules', () => {
  const config: ScheduleConfig = { kind: 'constant', learningRate: 2, stepEpochs: 3, stepFactor: 0.5 };
  const run = (kind: ScheduleConfig['kind']) =>
    Array.from({ length: 100 }, (_, step) => learningRateAt({ ...config, kind }, step, 100, 10));

  it('constant keeps the rate', () => expect(new Set(run('constant'))).toEqual(new Set([2])));

  it('step multiplies the rate by its factor every `stepEpochs` epochs', () => {
    const rates = run('step');
    expect([rates[0], rates[29], rates[30], rates[59], rates[60], rates[99]]).toEqual([
      2, 2, 1, 1, 0.5, 0.25,
    ]);
  });

  it('cosine decays from the rate towards 0, to one half at the midpoint', () => {
    const rates = run('cosine');
    expect(rates[0]).toBe(2);
    expect(rates[50]).toBeCloseTo(1);
    expect(rates[99]).toBeLessThan(0.01);
    expect(rates.every((r, i) => i === 0 || r < rates[i - 1]!)).toBe(true);
  });

  it('one-cycle warms up to the rate, and decays far below its initial value', () => {
    const rates = run('one-cycle');
    expect(rates[0]).toBeCloseTo(2 / 25);
    expect(rates.indexOf(Math.max(...rates))).toBe(30);
    expect(rates[30]).toBeCloseTo(2);
    expect(rates[99]).toBeLessThan(0.003);
  });

  it.each(SCHEDULES)('%s is always positive', (kind) => expect(Math.min(...run(kind))).toBeGreaterThan(0));
});
