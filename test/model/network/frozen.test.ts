import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FrozenModel, type TileBatch } from '../../../model/network/frozen.js';
import type { Pixels } from '../../../model/network/pixels.js';
import { joinScales, type TileScale } from '../../../model/network/tile-scale.js';
import { buildUnet, type UnetConfig } from '../../../model/network/unet.js';
import type { OnnxBackend } from '../../../model/onnx/backend.js';
import { noise, onnxBesideCpu } from '../../support/oracle.js';

let backend: OnnxBackend;
beforeAll(async () => {
  backend = await onnxBesideCpu();
  await tf.setBackend('onnx');
});
afterAll(() => backend.close());

const config: UnetConfig = { channels: [4, 8], inputChannels: 1, classes: 2, seed: 1 };

/** A network whose logits are the same everywhere. */
function constantLogits(
  logits: readonly number[],
  head: 'softmax' | 'sigmoid' = 'softmax',
): Promise<FrozenModel> {
  const model = buildUnet({ ...config, head, classes: head === 'sigmoid' ? 2 : logits.length });
  const zeros = model.getWeights().map((w) => tf.zeros(w.shape));
  model.setWeights([...zeros.slice(0, -1), tf.tensor1d([...logits])]);
  return FrozenModel.ofLayers(model, backend);
}

const tile = (side: number, data: Pixels = new Uint8Array(side * side)): TileBatch => {
  return { data, count: 1, height: side, width: side, channels: 1 };
};
const first = async (
  model: FrozenModel,
  ...how: [Parameters<FrozenModel['predict']>[1], boolean?, number?]
) => Array.from((await model.predict(tile(model.geometry.smallest), ...how)).subarray(0, 4));

describe('a batch', () => {
  it.each([
    [false, 'fp32'],
    [true, 'fp32'],
    [false, 'fp16'],
  ] as const)('of bytes is computed as one of floats: symmetries %s, %s', async (symmetries, precision) => {
    backend.precision = precision;
    const model = await FrozenModel.ofLayers(buildUnet(config), backend);
    const side = model.geometry.smallest;
    const bytes = () =>
      tile(
        side,
        Uint8Array.from(noise(side * side, 1), (v) => 100 * v + 128),
      );
    const floats = await model.predict(bytes(), 'both', symmetries);
    backend.takesBytes = true;
    const before = tf.memory().numTensors;
    expect(await model.predict(bytes(), 'both', symmetries)).toEqual(floats);
    expect(tf.memory().numTensors).toBe(before);
    [backend.takesBytes, backend.precision] = [false, 'fp32'];
    model.dispose();
  });

  it.each([2, 3])('has the same labels where they leave the device as bytes: %d classes', async (classes) => {
    const model = () => FrozenModel.ofLayers(buildUnet({ ...config, classes }), backend);
    const [first, second] = [await model(), await model()];
    const { smallest, multiple } = first.geometry;
    const side = smallest + 8 * multiple;
    const batch = () => tile(side, noise(side * side, 1, -1, 1));
    const labels = await first.predict(batch(), 'labels');
    expect(new Set(labels).size).toBeGreaterThan(1);
    backend.takesBytes = true;
    const before = tf.memory().numTensors;
    expect(await second.predict(batch(), 'labels')).toEqual(labels);
    expect(tf.memory().numTensors).toBe(before);
    backend.takesBytes = false;
    first.dispose();
    second.dispose();
  });

  it('returns integers as bytes where that is requested', async () => {
    const scores = Float32Array.of(1, 2, 3, 3, 2, 1);
    const greatest = ([x]: readonly tf.Tensor[]) => tf.argMax(x!, 1);
    const integers = backend.trace([[2, 3]], greatest);
    expect(await integers.run([{ values: scores }])).toEqual([Int32Array.of(2, 0)]);
    const bytes = backend.trace([[2, 3]], greatest, { isInput: false, isOutput: true });
    expect(await bytes.run([{ values: scores }])).toEqual([Uint8Array.of(2, 0)]);
  });

  it('has the same labels whatever was computed before, and at the same time', async () => {
    const model = await FrozenModel.ofLayers(buildUnet(config), backend);
    const { smallest, multiple } = model.geometry;
    const tileOf = (side: number, seed: number) =>
      tile(
        side,
        Uint8Array.from(noise(side * side, seed), (v) => 100 * v + 128),
      );
    const batches = [0, 3, 1, 2].map((n) => tileOf(smallest + n * multiple, n + 1));
    const wide = {
      ...tile(
        smallest,
        Uint16Array.from(batches[0]!.data, (v) => 257 * v),
      ),
    };
    const predict = (batch: TileBatch) => model.predict(batch, 'probabilities');
    const first: (Uint8Array | Float32Array)[] = [];
    for (const batch of batches) {
      const fresh = await FrozenModel.ofLayers(buildUnet(config), backend);
      first.push(await fresh.predict(batch, 'probabilities'));
      fresh.dispose();
    }
    for (const [i, batch] of batches.entries()) expect(await predict(batch)).toEqual(first[i]);
    expect(await predict(wide)).toEqual(first[0]);
    expect(await Promise.all(batches.map(predict))).toEqual(first);
    model.dispose();
  });
});

describe('a label', () => {
  it('is the class of the greatest logit, also where softmax rounds both to the same probability', async () => {
    const model = await constantLogits([0, 1e-9]);
    expect(await first(model, 'probabilities')).toEqual([0.5, 0.5, 0.5, 0.5]);
    expect(await first(model, 'labels')).toEqual([1, 1, 1, 1]);
    expect(await first(model, 'both')).toEqual([0.5, 0.5, 1, 0.5]);
    model.dispose();
  });

  it.each([2, 3, 4])('is the lowest of %i classes whose logits are equal', async (classes) => {
    const model = await constantLogits(Array.from({ length: classes }, () => 0.25));
    expect(await first(model, 'labels')).toEqual([0, 0, 0, 0]);
    model.dispose();
  });

  it('is the lowest of the greatest among several classes', async () => {
    const model = await constantLogits([-1, 2, 2, 1]);
    expect(await first(model, 'labels')).toEqual([1, 1, 1, 1]);
    model.dispose();
  });

  it('of one sigmoid is 1 for a logit above 0', async () => {
    for (const [logit, label] of [
      [1e-9, 1],
      [0, 0],
      [-1e-9, 0],
    ] as const) {
      const model = await constantLogits([logit], 'sigmoid');
      expect(await first(model, 'probabilities')).toEqual([0.5, 0.5, 0.5, 0.5]);
      expect(await first(model, 'labels')).toEqual(Array.from({ length: 4 }, () => label));
      model.dispose();
    }
  });

  it('follows the rounded probabilities where these are averaged, or compared with a threshold', async () => {
    const model = await constantLogits([0, 1e-9]);
    expect(await first(model, 'labels', true)).toEqual([0, 0, 0, 0]);
    expect(await first(model, 'labels', false, 0.5)).toEqual([1, 1, 1, 1]);
    expect(await first(model, 'labels', false, 0.6)).toEqual([0, 0, 0, 0]);
    model.dispose();
  });
});

describe('one graph', () => {
  it('serves every size, number and type of tiles, and every threshold', async () => {
    const model = await FrozenModel.ofLayers(buildUnet(config), backend);
    const { smallest, multiple } = model.geometry;
    const before = backend.stats.compiled;
    for (const side of [smallest, smallest + 3 * multiple]) {
      const bytes = Uint8Array.from(noise(side * side, 1, 0, 256));
      const of = (data: Pixels, threshold: number) =>
        model.predict(tile(side, data), 'labels', false, threshold);
      const labels = await of(bytes, 0.4);
      expect(labels.some((label) => label === 1)).toBe(true);
      // 257 · b / 65535 is b / 255
      expect(
        await of(
          Uint16Array.from(bytes, (b) => 257 * b),
          0.4,
        ),
      ).toEqual(labels);
      expect(
        await of(
          Float32Array.from(bytes, (b) => b / 255),
          0.4,
        ),
      ).toEqual(labels);
      expect(await of(bytes, 1.1)).toEqual(new Uint8Array(labels.length));
    }
    const several = { ...tile(smallest, new Uint8Array(3 * smallest * smallest)), count: 3 };
    await model.predict(several, 'labels', false, 0.5);
    expect(backend.stats.compiled - before).toBe(1);
    model.dispose();
  });

  it('makes no call of TensorFlow.js for a batch but the first', async () => {
    const model = await FrozenModel.ofLayers(buildUnet(config), backend);
    await model.predict(tile(model.geometry.smallest), 'both');
    const before = tf.engine().state.kernelDepth + tf.memory().numTensors;
    let kernels = 0;
    const profiled = await tf.profile(async () => {
      await model.predict(tile(model.geometry.smallest), 'both');
      return tf.scalar(0);
    });
    kernels = profiled.kernels.length;
    expect(kernels).toBe(0);
    expect(tf.engine().state.kernelDepth + tf.memory().numTensors).toBe(before + 1);
    model.dispose();
  });
});

it('a network that is disposed leaves no tensors and no sessions', async () => {
  const before = {
    tensors: tf.memory().numTensors,
    data: backend.numDataIds(),
    sessions: backend.stats.sessions,
  };
  const model = await FrozenModel.ofLayers(buildUnet(config), backend);
  for (const output of ['labels', 'probabilities', 'both'] as const) {
    await model.predict(tile(model.geometry.smallest), output);
  }
  model.dispose();
  await backend.settled();
  expect({
    tensors: tf.memory().numTensors,
    data: backend.numDataIds(),
    sessions: backend.stats.sessions,
  }).toEqual(before);
});

describe('tiles with a scale', () => {
  const scaleOf = (channels: number, seed: number): TileScale => {
    const part = (from: number, to: number) => noise(channels, seed++, from, to);
    return { shift: part(50, 150), factor: part(0.01, 0.02), low: part(-1, -0.5), high: part(0.5, 1) };
  };
  /** The values that a network should see, in floats. */
  const scaled = (data: Uint8Array, { shift, factor, low, high }: TileScale): Float32Array =>
    Float32Array.from(data, (value, i) => {
      const c = i % shift.length;
      const x = Math.fround(Math.fround(value - shift[c]!) * factor[c]!);
      return Math.min(Math.max(x, low[c]!), high[c]!);
    });

  it.each([
    [1, false, 'fp32'],
    [1, true, 'fp32'],
    [5, false, 'fp32'],
    [5, true, 'fp32'],
    [5, true, 'fp16'],
  ] as const)(
    "of %d channels are the network's input, each by its own: bytes %s, %s",
    async (channels, takesBytes, precision) => {
      backend.precision = precision;
      const model = await FrozenModel.ofLayers(buildUnet({ ...config, inputChannels: channels }), backend);
      const side = model.geometry.smallest;
      const length = side * side * channels;
      const tileOf = (seed: number) => Uint8Array.from(noise(length, seed), (v) => 100 * v + 128);
      const tiles = [1, 2, 3].map((seed) => ({ data: tileOf(seed), scale: scaleOf(channels, 10 * seed) }));
      const shape = { width: side, height: side, channels };
      const expected: (Uint8Array | Float32Array)[] = [];
      for (const { data, scale } of tiles) {
        expected.push(await model.predict({ ...shape, data: scaled(data, scale), count: 1 }, 'both'));
      }
      backend.takesBytes = takesBytes;
      const data = new Uint8Array(3 * length);
      for (const [i, one] of tiles.entries()) data.set(one.data, i * length);
      const before = tf.memory().numTensors;
      const scale = joinScales(
        tiles.map((one) => one.scale),
        3,
      );
      const found = await model.predict({ ...shape, data, count: 3, scale }, 'both');
      for (const [i, values] of expected.entries()) {
        expect(found.subarray(i * values.length, (i + 1) * values.length)).toEqual(values);
      }
      expect(tf.memory().numTensors).toBe(before);
      [backend.takesBytes, backend.precision] = [false, 'fp32'];
      model.dispose();
    },
  );

  it('of colours are gray before they are scaled', async () => {
    const model = await FrozenModel.ofLayers(buildUnet(config), backend);
    const side = model.geometry.smallest;
    const gray = Uint8Array.from(noise(side * side, 1), (v) => 100 * v + 128);
    const rgb = Uint8Array.from({ length: 3 * gray.length }, (_, i) => gray[Math.floor(i / 3)]!);
    const scale = { shift: [100], factor: [0.015625], low: [-1], high: [1] };
    const own = Object.fromEntries(
      Object.entries(scale).map(([name, part]) => [name, Float32Array.from(part)]),
    );
    const predict = (data: Uint8Array, channels: number) =>
      model.predict(
        { data, channels, count: 1, width: side, height: side, scale: own as never },
        'probabilities',
      );
    const [first, second] = [await predict(gray, 1), await predict(rgb, 3)];
    expect(Math.max(...first.map((value, i) => Math.abs(value - second[i]!)))).toBeLessThan(1e-5);
    model.dispose();
  });
});
