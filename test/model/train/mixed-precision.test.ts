import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TrainingBatch } from '../../../model/train/batch.js';
import { LossScale } from '../../../model/train/loss-scale.js';
import { readState } from '../../../model/train/state.js';
import { PLAIN_TRAINING, Trainer, type TrainerConfig } from '../../../model/train/trainer.js';
import { testFolder } from '../../support/files.js';
import { noise, onnxBesideCpu } from '../../support/oracle.js';

beforeAll(async () => {
  await onnxBesideCpu();
  await tf.setBackend('onnx');
});

const full: TrainerConfig = {
  unet: { channels: [4, 8], inputChannels: 1, classes: 2, seed: 1 },
  ...PLAIN_TRAINING,
};
const mixed: TrainerConfig = { ...full, precision: 'fp16' };
const normalised: TrainerConfig = { ...mixed, unet: { ...mixed.unet, batchNorm: true, dropout: 0.3 } };
const options = { learningRate: 1e-2 };
const side = 32;
const out = 16;

/** Noise, whose bright pixels are of class 1. */
function batch(seed: number): TrainingBatch {
  const pixels = noise(side * side, seed, 0, 1);
  const margin = (side - out) / 2;
  const labels = Uint8Array.from({ length: out * out }, (_, i) => {
    const [y, x] = [Math.floor(i / out), i % out];
    return pixels[(y + margin) * side + x + margin]! > 0.5 ? 1 : 0;
  });
  return { pixels, labels, weights: new Float32Array(out * out).fill(1), count: 1, side, channels: 1 };
}

async function lossesOf(config: TrainerConfig, steps: number): Promise<number[]> {
  const trainer = await Trainer.create(config);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) losses.push(await trainer.step(batch(step), options));
  trainer.dispose();
  return losses;
}

const valuesOf = async (trainer: Trainer) => (await trainer.state()).arrays.map((array) => [...array]);
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('a training in mixed precision', () => {
  it('learns as one in full precision does', async () => {
    const [expected, losses] = [await lossesOf(full, 60), await lossesOf(mixed, 60)];
    expect(losses).not.toEqual(expected);
    expect(losses[0]).toBeCloseTo(expected[0]!, 3);
    expect(mean(losses.slice(-10))).toBeLessThan(0.5 * losses[0]!);
    expect(mean(losses.slice(-10))).toBeCloseTo(mean(expected.slice(-10)), 1);
  });

  it('learns with batch normalisation and dropout', async () => {
    const losses = await lossesOf(normalised, 60);
    expect(mean(losses.slice(-10))).toBeLessThan(0.6 * losses[0]!);
  });

  it.each([
    ['a plain network', mixed],
    ['batch normalisation and dropout', normalised],
  ])('skips a step whose gradients overflow, and halves the scale: %s', async (_name, config) => {
    const trainer = await Trainer.create(config);
    await trainer.step(batch(1), options);
    trainer.restore({ ...(await trainer.state()), lossScale: { scale: 2 ** 24, goodSteps: 5 } });
    const before = await valuesOf(trainer);
    expect(await trainer.step(batch(2), options)).toBeLessThan(10);
    expect(await valuesOf(trainer)).toEqual(before);
    expect(await trainer.state()).toMatchObject({ steps: 1, batches: 2 });
    expect((await trainer.state()).lossScale).toEqual({ scale: 2 ** 23, goodSteps: 0 });
    for (let step = 3; step < 20; step++) await trainer.step(batch(step), options);
    const { steps, lossScale } = await trainer.state();
    expect(steps).toBeGreaterThan(5);
    expect(lossScale!.scale).toBeLessThan(2 ** 23);
    expect((await valuesOf(trainer)).flat().every(Number.isFinite)).toBe(true);
    trainer.dispose();
  });

  it.each([
    ['a plain network', mixed],
    ['batch normalisation and dropout', normalised],
  ])('goes on from a checkpoint in every bit: %s', async (_name, config) => {
    const path = join(await testFolder(), 'state');
    const [first, second] = [await Trainer.create(config), await Trainer.create(config)];
    for (let step = 0; step < 3; step++) await first.step(batch(step), options);
    await first.save(path, { epoch: 1 });
    expect(await second.load(path)).toEqual({ epoch: 1 });
    expect(await second.state()).toEqual(await first.state());
    for (let step = 3; step < 6; step++) {
      expect(await second.step(batch(step), options)).toBe(await first.step(batch(step), options));
    }
    expect(await second.state()).toEqual(await first.state());
    expect((await first.state()).lossScale).toEqual({ scale: 65536, goodSteps: 6 });
  });

  it('goes on from a checkpoint in full precision, and the other way round', async () => {
    const path = join(await testFolder(), 'state');
    const [inFull, inMixed] = [await Trainer.create(full), await Trainer.create(mixed)];
    await inFull.step(batch(1), options);
    await inFull.save(path, null);
    expect((await readFile(path)).subarray(0, 200).toString('latin1')).not.toContain('lossScale');
    await inMixed.load(path);
    await inMixed.step(batch(2), options);
    expect((await inMixed.state()).lossScale).toEqual({ scale: 65536, goodSteps: 1 });
    await inMixed.save(path, null);
    expect((await readState(path)).state.lossScale).toEqual({ scale: 65536, goodSteps: 1 });
    await inFull.load(path);
    expect(await valuesOf(inFull)).toEqual(await valuesOf(inMixed));
    expect(await inFull.state()).not.toHaveProperty('lossScale');
  });

  it('averages the gradients of several batches', async () => {
    const [once, twice] = [await Trainer.create(mixed), await Trainer.create(mixed)];
    await once.step(batch(1), options);
    await twice.step(batch(1), { ...options, apply: false });
    await twice.step(batch(1), options);
    // the sum of two equal gradients is halved
    expect(await valuesOf(twice)).toEqual(await valuesOf(once));
  });
});

describe('a loss scale', () => {
  const finite = [Float32Array.of(1, -2), Float32Array.of(0)];
  const at = (scale: number, goodSteps: number) => {
    const lossScale = new LossScale();
    lossScale.restore({ scale, goodSteps });
    return lossScale;
  };

  it('grows after 2,000 good steps', () => {
    const lossScale = at(1024, 1998);
    expect(lossScale.adapt(finite)).toBe(1 / 1024);
    expect(lossScale.state).toEqual({ scale: 1024, goodSteps: 1999 });
    expect(lossScale.adapt(finite)).toBe(1 / 1024);
    expect(lossScale.state).toEqual({ scale: 2048, goodSteps: 0 });
  });

  it.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN])('is halved by %d', (value) => {
    const lossScale = at(1024, 1999);
    expect(lossScale.adapt([...finite, Float32Array.of(0, value)])).toBe(null);
    expect(lossScale.state).toEqual({ scale: 512, goodSteps: 0 });
  });

  it('is an error where gradients overflow without it', () => {
    expect(() => at(1, 3).adapt([Float32Array.of(Number.NaN)])).toThrow(
      expect.objectContaining({ code: 'bad-precision', message: expect.stringMatching(/choose fp32/) }),
    );
  });
});
