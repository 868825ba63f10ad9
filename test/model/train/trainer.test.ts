import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Trainee } from '../../../model/engine/trainee.js';
import type { TrainingBatch } from '../../../model/train/batch.js';
import { type RangePoint, rangeTest } from '../../../model/train/lr-finder.js';
import { PLAIN_TRAINING, Trainer, type TrainerConfig } from '../../../model/train/trainer.js';
import { testFolder } from '../../support/files.js';
import { noise, onnxBesideCpu } from '../../support/oracle.js';

beforeAll(async () => {
  await onnxBesideCpu();
  await tf.setBackend('onnx');
});

const config: TrainerConfig = {
  unet: { channels: [3, 4], inputChannels: 1, classes: 2, seed: 1 },
  ...PLAIN_TRAINING,
};
const options = { learningRate: 1e-2 };
const side = 24;
function batch(seed: number, count = 1): TrainingBatch {
  const out = count * 8 * 8;
  return {
    pixels: noise(count * side * side, seed, 0, 1),
    labels: Uint8Array.from(noise(out, seed + 1, 0, 2)),
    weights: new Float32Array(out).fill(1),
    count,
    side,
    channels: 1,
  };
}
const weightsOf = async (trainer: Trainer) => (await trainer.state()).arrays.map((a) => Array.from(a));

describe('accumulated gradients', () => {
  it('of two batches give the same step as one batch of both', async () => {
    const [one, two] = [batch(1), batch(2)];
    const join = <A extends Float32Array | Uint8Array>(a: A, b: A) =>
      new (a.constructor as new (n: number[]) => A)([...a, ...b]);
    const both = {
      ...one,
      count: 2,
      pixels: join(one.pixels, two.pixels),
      labels: join(one.labels, two.labels),
      weights: join(one.weights, two.weights),
    };
    const [together, apart] = [await Trainer.create(config), await Trainer.create(config)];
    await together.step(both, options);
    await apart.step(one, { ...options, apply: false });
    await apart.step(two, options);
    const [a, b] = [await weightsOf(together), await weightsOf(apart)];
    for (const [i, values] of a.entries()) {
      for (const [j, value] of values.entries()) expect(Math.abs(value - b[i]![j]!)).toBeLessThan(2e-4);
    }
    expect((await together.state()).steps).toBe(1);
    expect((await apart.state()).steps).toBe(1);
    together.dispose();
    apart.dispose();
  });
});

describe('a step', () => {
  it('is that of its own batch, after batches of other values and other sizes', async () => {
    const seasoned = await Trainer.create(config);
    const start = await seasoned.state();
    for (const [seed, count] of [
      [1, 1],
      [2, 1],
      [3, 2],
      [4, 1],
    ] as const) {
      seasoned.restore(start);
      const fresh = await Trainer.create(config);
      const loss = await seasoned.step(batch(seed, count), options);
      expect(await fresh.step(batch(seed, count), options)).toBe(loss);
      expect(await weightsOf(seasoned)).toEqual(await weightsOf(fresh));
      fresh.dispose();
    }
    seasoned.dispose();
  });
});

describe('a state', () => {
  it.each([
    ['adam', {}],
    ['dropout and batch normalisation', { unet: { ...config.unet, dropout: 0.5, batchNorm: true } }],
  ])('that is saved and loaded goes on in every bit: %s', async (_name, change) => {
    const path = join(await testFolder(), 'state');
    const trainer = await Trainer.create({ ...config, ...change });
    for (let i = 0; i < 3; i++) await trainer.step(batch(i), options);
    await trainer.save(path, { epoch: 3 });
    for (let i = 3; i < 6; i++) await trainer.step(batch(i), options);
    const other = await Trainer.create({ ...config, ...change });
    expect(await other.load(path)).toEqual({ epoch: 3 });
    for (let i = 3; i < 6; i++) await other.step(batch(i), options);
    expect(await weightsOf(other)).toEqual(await weightsOf(trainer));
    trainer.dispose();
    other.dispose();
  });

  it('of another network is rejected', async () => {
    const path = join(await testFolder(), 'state');
    const trainer = await Trainer.create(config);
    await trainer.save(path, null);
    const other = await Trainer.create({ ...config, unet: { ...config.unet, channels: [2, 4] } });
    await expect(other.load(path)).rejects.toMatchObject({ code: 'bad-checkpoint' });
    trainer.dispose();
    other.dispose();
  });
});

describe('dropout', () => {
  it('draws a new mask at each step, and the same masks in another run', async () => {
    const losses = async () => {
      const trainer = await Trainer.create({ ...config, unet: { ...config.unet, dropout: 0.5 } });
      const found = [];
      for (let i = 0; i < 4; i++) found.push(await trainer.step(batch(1), { learningRate: 1e-12 }));
      trainer.dispose();
      return found;
    };
    const first = await losses();
    expect(new Set(first).size).toBe(4);
    expect(await losses()).toEqual(first);
  });
});

describe('a frozen encoder', () => {
  it('is unchanged while the other layers train', async () => {
    const trainer = await Trainer.create({ ...config, freezeEncoder: true });
    const values = async () =>
      Promise.all(
        trainer.model.layers.flatMap((l) =>
          l.getWeights().map(async (w) => [l.name, Array.from(await w.data())] as const),
        ),
      );
    const before = await values();
    await trainer.step(batch(1), options);
    const changed = new Set(
      (await values()).flatMap(([name, now], i) => (now.join() === before[i]![1].join() ? [] : [name])),
    );
    expect([...changed].some((name) => name.startsWith('down_'))).toBe(false);
    expect(changed.has('logits')).toBe(true);
    trainer.dispose();
  });

  it('is that of a state that is restored, after steps with another', async () => {
    const frozen = { ...config, freezeEncoder: true };
    const other = await Trainer.create({ ...frozen, unet: { ...config.unet, seed: 2 } });
    const state = await other.state();
    const trainer = await Trainer.create(frozen);
    await trainer.step(batch(1), options);
    trainer.restore(state);
    expect(await trainer.step(batch(2), options)).toBe(await other.step(batch(2), options));
    trainer.dispose();
    other.dispose();
  });

  it('is rejected with batch normalisation, whose statistics would continue to change', async () => {
    const unet = { ...config.unet, batchNorm: true };
    await expect(Trainer.create({ ...config, unet, freezeEncoder: true })).rejects.toMatchObject({
      code: 'bad-model-config',
    });
  });
});

describe('the range test', () => {
  /** A trainee whose loss is a function of the learning rate. */
  const lossy = (loss: (rate: number) => number) =>
    ({
      step: async (_batch: TrainingBatch, { learningRate }: { learningRate: number }) => loss(learningRate),
    }) as unknown as Trainee;
  async function run(loss: (rate: number) => number) {
    const test = rangeTest(lossy(loss), {
      low: 1e-6,
      high: 1,
      steps: 100,
      batch: async () => batch(1),
      signal: new AbortController().signal,
    });
    const points: RangePoint[] = [];
    for (;;) {
      const { value, done } = await test.next();
      if (done) return value;
      points.push(value);
    }
  }

  it('suggests the rate at which the loss falls fastest', async () => {
    const { suggestion, diverged, points } = await run((rate) => 1 / (1 + (rate / 1e-3) ** 2));
    expect(points).toHaveLength(100);
    expect(diverged).toBe(null);
    expect(suggestion! / 1e-3).toBeGreaterThan(0.6);
    expect(suggestion! / 1e-3).toBeLessThan(1.7);
  });

  it('suggests no rate at which the loss falls from a leap of its own', async () => {
    const leap = (rate: number) => (rate < 0.02 ? 0 : rate < 0.03 ? 1.5 : 0.3);
    const { suggestion, points } = await run((rate) => 1 / (1 + (rate / 1e-3) ** 2) + leap(rate));
    expect(Math.max(...points.map(({ loss }) => loss))).toBeGreaterThan(1.2);
    expect(suggestion! / 1e-3).toBeGreaterThan(0.6);
    expect(suggestion! / 1e-3).toBeLessThan(1.7);
  });

  it('is not misled by a first batch that is easier than all others', async () => {
    const { suggestion, points } = await run((rate) =>
      rate <= 1e-6 ? 0.4 : 0.5 + 1 / (1 + (rate / 1e-3) ** 2),
    );
    expect(points[0]!.smoothed).toBe(Math.min(...points.map(({ smoothed }) => smoothed)));
    expect(suggestion! / 1e-3).toBeGreaterThan(0.6);
    expect(suggestion! / 1e-3).toBeLessThan(1.7);
  });

  it('stops when the loss diverges or is not a number, and reports the rate', async () => {
    const { diverged, points } = await run((rate) => (rate > 1e-2 ? 1e6 : 1));
    expect(points[diverged!]!.learningRate).toBeGreaterThan(1e-2);
    expect(points[diverged! - 1]!.learningRate).toBeLessThan(1e-2);
    expect(points).toHaveLength(diverged! + 1);
    expect((await run((rate) => (rate > 1e-2 ? Number.NaN : 1))).diverged).toBe(diverged);
  });

  it('suggests no rate when the loss never falls', async () => {
    expect((await run((rate) => 1 + rate)).suggestion).toBe(null);
  });
});
