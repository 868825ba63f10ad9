import { describe, expect, it } from 'vitest';
import type { OptimizerConfig } from '../../../model/train/choices.js';
import { Optimizer } from '../../../model/train/optimizer.js';
import { learningRateAt, SCHEDULES, type ScheduleConfig } from '../../../model/train/schedule.js';
import { noise } from '../../support/oracle.js';

const plain: OptimizerConfig = { kind: 'adam', momentum: 0.9, weightDecay: 0.1, clipNorm: null };
const start = noise(6, 1);
const gradientAt = (step: number) => noise(6, 10 + step, -3, 3);
const rate = 0.05;

function optimizerOf(config: OptimizerConfig, weights: readonly Float32Array[]): Optimizer {
  const optimizer = new Optimizer(
    config,
    weights.map(({ length }) => length),
  );
  for (const [i, values] of weights.entries()) optimizer.weights[i]!.set(values);
  return optimizer;
}

function update(optimizer: Optimizer, gradients: readonly Float32Array[], scale = 1): void {
  for (const [i, values] of gradients.entries()) optimizer.gradients[i]!.set(values);
  optimizer.update({ learningRate: rate, scale });
}

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
  ])('%s changes weights as published', (_name, config) => {
    const optimizer = optimizerOf(config, [start.slice(0, 2), start.slice(2)]);
    for (let step = 1; step <= 12; step++) {
      const g = gradientAt(step);
      update(optimizer, [g.slice(0, 2), g.slice(2)]);
    }
    const values = optimizer.weights.flatMap((w) => Array.from(w));
    for (const [i, w] of defined(config, 12).entries()) expect(values[i]).toBeCloseTo(w, 4);
    expect(optimizer.steps).toBe(12);
  });

  it.each<[string, OptimizerConfig]>([
    ['sgd', { ...plain, kind: 'sgd' }],
    ['adamw', { ...plain, kind: 'adamw' }],
  ])('of a weight has the same bits whatever arrays are around it: %s', (_name, config) => {
    const lengths = [3, 40, 1, 16, 25];
    const arrays = (seed: number) => lengths.map((n) => noise(n, n + seed, -3, 3));
    const together = optimizerOf(config, arrays(0));
    const alone = arrays(0).map((weights) => optimizerOf(config, [weights]));
    for (let step = 1; step < 5; step++) {
      update(together, arrays(step));
      for (const [i, optimizer] of alone.entries()) update(optimizer, [arrays(step)[i]!]);
    }
    expect(together.weights).toEqual(alone.map(({ weights }) => weights[0]));
  });

  it.each<[string, OptimizerConfig]>([
    ['adam', plain],
    ['clipped', { ...plain, kind: 'sgd', clipNorm: 0.5 }],
  ])('by scaled sums is one by their mean: %s', (_name, config) => {
    const run = (gradient: Float32Array, scale: number) => {
      const optimizer = optimizerOf(config, [start]);
      for (let step = 0; step < 3; step++) update(optimizer, [gradient], scale);
      return optimizer.weights[0];
    };
    const mean = gradientAt(1);
    const sum = mean.map((g) => g * 4);
    expect(run(sum, 0.25)).toEqual(run(mean, 1));
  });

  it('decays weights at small rates, too', () => {
    const [learningRate, steps] = [1e-6, 2000];
    const run = (weightDecay: number) => {
      const optimizer = optimizerOf({ ...plain, kind: 'adamw', weightDecay }, [Float32Array.of(1)]);
      for (let step = 0; step < steps; step++) {
        optimizer.gradients[0]!.set(noise(1, step, -3, 3));
        optimizer.update({ learningRate });
      }
      return optimizer.weights[0]![0]!;
    };
    const decayed = run(0) - run(0.02);
    expect(decayed / (steps * learningRate * 0.02)).toBeCloseTo(1, 1);
  });

  it.each(['sgd', 'adam'] as const)('leaves no denormal moments where gradients vanish: %s', (kind) => {
    const optimizer = optimizerOf({ ...plain, kind }, [Float32Array.of(1)]);
    const moments: number[] = [];
    for (let step = 0; step < 2000; step++) {
      update(optimizer, [Float32Array.of(step === 0 ? 1e-20 : 0)]);
      moments.push(...optimizer.slots.map((slot) => Math.abs(slot[0]!)));
    }
    expect(Math.min(...moments.filter((moment) => moment > 0))).toBeGreaterThanOrEqual(2 ** -126);
    expect(moments.at(-1)).toBeLessThan(1e-35);
    expect(optimizer.weights[0]![0]).toBeGreaterThan(0);
  });
});

it('an optimiser is refused for more weights than its memory holds', () => {
  const ofAll = () => new Optimizer(plain, [2 ** 28, 1]);
  expect(ofAll).toThrow('the network has too many weights: adam trains at most 268,435,456');
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
