import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { selfTest } from '../../model/exactness/self-test.js';
import { FrozenModel } from '../../model/network/frozen.js';
import type { OnnxBackend } from '../../model/onnx/backend.js';
import type { TrainingBatch } from '../../model/train/batch.js';
import { PLAIN_TRAINING, Trainer } from '../../model/train/trainer.js';
import { difference, noise, oneAtATime, onnxBesideCpu } from '../support/oracle.js';

let backend: OnnxBackend;
beforeAll(async () => {
  backend = await onnxBesideCpu();
});

const unet = { channels: [3, 4, 5], inputChannels: 1, classes: 3, seed: 1 } as const;
const side = 60;
const out = 20;

function batch(seed: number, channels = 1): TrainingBatch {
  return {
    pixels: noise(2 * side * side * channels, seed, 0, 1),
    labels: Uint8Array.from(noise(2 * out * out, seed + 1, 0, 3)),
    count: 2,
    side,
    channels,
    weights: noise(2 * out * out, seed + 2, 0, 3),
  };
}

describe('ten training steps', () => {
  it.each([1, 3])(
    'have the same losses as on the cpu backend, with images of %i channels',
    async (channels) => {
      const losses: Record<string, number[]> = { cpu: [], onnx: [] };
      for (const name of ['cpu', 'onnx'] as const) {
        await tf.setBackend(name);
        const trainer = await Trainer.create({ unet, ...PLAIN_TRAINING });
        for (let step = 0; step < 10; step++)
          losses[name]!.push(await trainer.step(batch(step % 3, channels), { learningRate: 3e-3 }));
        trainer.dispose();
      }
      for (const [i, loss] of losses.cpu!.entries()) {
        expect(Math.abs(losses.onnx![i]! - loss) / loss).toBeLessThan(1e-4);
      }
      expect(losses.cpu!.at(-1)).toBeLessThan(losses.cpu![0]!);
    },
  );
});

describe('memory', () => {
  it('has no more tensors, sessions or data after a thousand steps than after three', async () => {
    await tf.setBackend('onnx');
    const tiny = { ...unet, channels: [1, 1] };
    const before = { tensors: tf.memory().numTensors, data: backend.numDataIds() };
    const trainer = await Trainer.create({ unet: tiny, ...PLAIN_TRAINING });
    const { pixels, labels, weights } = batch(1);
    const one: TrainingBatch = {
      side: 24,
      count: 1,
      channels: 1,
      pixels: pixels.slice(0, 24 * 24),
      labels: labels.slice(0, 8 * 8),
      weights: weights.slice(0, 8 * 8),
    };
    const step = () => trainer.step(one, { learningRate: 1e-3 });
    for (let i = 0; i < 3; i++) await step();
    const early = { tensors: tf.memory().numTensors, data: backend.numDataIds(), ...backend.stats };
    for (let i = 0; i < 1000; i++) await step();
    expect({ tensors: tf.memory().numTensors, data: backend.numDataIds(), ...backend.stats }).toEqual(early);
    expect(early.pending).toBe(0);
    trainer.dispose();
    expect({ tensors: tf.memory().numTensors, data: backend.numDataIds() }).toEqual(before);
  });
});

describe('a frozen network', () => {
  it('matches the network on the cpu backend, tiles exactly, and leaks nothing', async () => {
    await tf.setBackend('onnx');
    const trainer = await Trainer.create({ unet, ...PLAIN_TRAINING });
    const before = {
      tensors: tf.memory().numTensors,
      data: backend.numDataIds(),
      sessions: backend.stats.sessions,
    };
    const frozen = await FrozenModel.ofLayers(await trainer.copy(), backend);
    const pixels = Uint16Array.from(noise(side * side, 3, 0, 65536));
    const tile = { data: pixels, count: 1, height: side, width: side, channels: 1 };
    const probabilities = await frozen.predict(tile, 'probabilities');
    const labels = await frozen.predict(tile, 'labels');

    const weights = await Promise.all(trainer.model.getWeights().map((w) => w.data()));
    await tf.setBackend('cpu');
    const oracle = await Trainer.create({ unet, ...PLAIN_TRAINING });
    tf.tidy(() =>
      oracle.model.setWeights(oracle.model.getWeights().map((w, i) => tf.tensor(weights[i]!, w.shape))),
    );
    const x = tf.tensor4d(
      Float32Array.from(pixels, (v) => v / 65535),
      [1, side, side, 1],
    );
    const expected = oracle.model.apply(x) as tf.Tensor;
    const values = Array.from(await expected.data());
    tf.dispose([x, expected]);
    oracle.dispose();
    expect(difference(values, Array.from(probabilities))).toBeLessThan(1e-5);
    const greatest = labels.map((_, i) => {
      const p = probabilities.subarray(i * 3, i * 3 + 3);
      return p.indexOf(Math.max(...p));
    });
    expect(labels).toEqual(greatest);

    await tf.setBackend('onnx');
    const use = { output: 'labels', symmetries: false, channels: 1 } as const;
    expect(await selfTest(oneAtATime(frozen), use)).toMatchObject({ exact: true });
    frozen.dispose();
    await backend.settled();
    expect({
      tensors: tf.memory().numTensors,
      data: backend.numDataIds(),
      sessions: backend.stats.sessions,
    }).toEqual(before);
    trainer.dispose();
  });

  it('shares one session between tiles of all sizes and batches', async () => {
    await tf.setBackend('onnx');
    const trainer = await Trainer.create({ unet, ...PLAIN_TRAINING });
    const frozen = await FrozenModel.ofLayers(await trainer.copy(), backend);
    const { compiled } = backend.stats;
    for (const [count, size] of [
      [1, 60],
      [3, 60],
      [1, 88],
    ] as const) {
      const data = new Uint8Array(count * size * size);
      const labels = await frozen.predict({ data, count, height: size, width: size, channels: 1 }, 'labels');
      expect(labels.length).toBe(count * (size - 40) ** 2);
    }
    expect(backend.stats.compiled - compiled).toBe(1);
    frozen.dispose();
    trainer.dispose();
    await backend.settled();
  });
});

describe('sessions', () => {
  it('are bounded: the least recently used one is evicted and recompiled on demand', async () => {
    await tf.setBackend('onnx');
    const run = async (length: number) => {
      const y = tf.tidy(() => tf.relu(tf.zeros([length])));
      await y.data();
      y.dispose();
    };
    for (let i = 1; i <= 80; i++) await run(i);
    expect(backend.stats.sessions).toBe(64);
    const { compiled } = backend.stats;
    await run(80);
    expect(backend.stats.compiled).toBe(compiled);
    await run(1);
    expect(backend.stats.compiled).toBe(compiled + 1);
  });
});
