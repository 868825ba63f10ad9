import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { beforeAll, describe, expect, it } from 'vitest';
import { type GraphUse, selfTest } from '../../model/exactness/self-test.js';
import { FrozenModel } from '../../model/network/frozen.js';
import { buildUnet, type UnetConfig } from '../../model/network/unet.js';
import type { OnnxBackend } from '../../model/onnx/backend.js';
import { noise, oneAtATime, onnxBesideCpu } from '../support/oracle.js';
import { even, firstDifference } from '../support/rasters.js';

let backend: OnnxBackend;
beforeAll(async () => {
  backend = await onnxBesideCpu();
});

const use: GraphUse = { output: 'labels', symmetries: false, channels: 1 };
const base: UnetConfig = { channels: [3, 4, 5], inputChannels: 1, classes: 3, seed: 1 };
const VARIANTS: [string, Partial<UnetConfig>][] = [
  ['the paper', {}],
  ['one convolution per level', { convolutions: 1 }],
  ['same padding', { padding: 'same' }],
  ['same padding, one convolution', { padding: 'same', convolutions: 1 }],
  ['nearest-neighbour up-convolution', { upConvolution: 'nearest' }],
  ['nearest-neighbour up-convolution with same padding', { upConvolution: 'nearest', padding: 'same' }],
  ['batch normalisation', { batchNorm: true }],
  ['dropout', { dropout: 0.5 }],
  ['explicit decoder channels', { decoderChannels: [6, 2] }],
  ['one sigmoid', { head: 'sigmoid', classes: 2 }],
  ['colour', { inputChannels: 3 }],
];

/** A frozen network whose weights, biases and statistics all differ. */
async function frozen(config: UnetConfig, size?: number): Promise<FrozenModel> {
  await tf.setBackend('onnx');
  const model = buildUnet(config, size);
  tf.tidy(() =>
    model.setWeights(
      model
        .getWeights()
        .map((w, i) => tf.tensor(noise(w.size, i + 1, w.shape.length === 1 ? 0.1 : -0.5, 0.5), w.shape)),
    ),
  );
  return FrozenModel.ofLayers(model, backend);
}

describe('every kind of network', () => {
  const blocks: Partial<UnetConfig> = { channels: [16, 32] }; // which ONNX Runtime convolves in blocks of channels
  const both = VARIANTS.flatMap(([name, variant]): [string, Partial<UnetConfig>][] => [
    [name, variant],
    [
      `${name}, in blocks`,
      { ...blocks, ...variant, ...(variant.decoderChannels && { decoderChannels: [16] }) },
    ],
  ]);
  it.each(both)('%s: tiles are bit-identical to one pass', async (_name, variant) => {
    const config = { ...base, ...variant };
    const model = await frozen(config);
    expect(await selfTest(oneAtATime(model), { ...use, channels: config.inputChannels })).toMatchObject({
      exact: true,
    });
    model.dispose();
  });

  it.each(VARIANTS)(
    '%s: outputs the size of its geometry, and class probabilities sum to 1',
    async (_name, variant) => {
      const config = { ...base, ...variant };
      const model = await frozen(config);
      const { halo, smallest, multiple } = model.geometry;
      const [height, width] = [smallest, smallest + 3 * multiple];
      const { inputChannels: channels, classes } = config;
      const data = Uint8Array.from(noise(height * width * channels, 1, 0, 256));
      const tile = { data, count: 1, height, width, channels };
      const values = (await model.predict(tile, 'probabilities')) as Float32Array;
      const pixels = (height - halo.top - halo.bottom) * (width - halo.left - halo.right);
      expect(values.length).toBe(pixels * classes);
      for (let at = 0; at < pixels; at++) {
        const sum = values.subarray(at * classes, (at + 1) * classes).reduce((a, b) => a + b, 0);
        expect(Math.abs(sum - 1)).toBeLessThan(1e-5);
      }
      model.dispose();
    },
  );

  it('agrees with the cpu backend, also with padding or batch statistics', async () => {
    for (const variant of [{ padding: 'same' }, { upConvolution: 'nearest' }, { batchNorm: true }] as const) {
      const values: number[][] = [];
      for (const name of ['cpu', 'onnx']) {
        await tf.setBackend(name);
        const model = buildUnet({ ...base, ...variant }, 60);
        const x = tf.tensor4d(noise(60 * 60, 5, 0, 1), [1, 60, 60, 1]);
        const y = tf.tidy(() => model.apply(x) as tf.Tensor);
        values.push(Array.from(await y.data()));
        tf.dispose([x, y]);
        model.dispose();
      }
      const [cpu, onnx] = values as [number[], number[]];
      expect(Math.max(...cpu.map((v, i) => Math.abs(v - onnx[i]!)))).toBeLessThan(1e-5);
    }
  });
});

describe('a network with average pooling', () => {
  it('tiles exactly, for probabilities and labels', async () => {
    await tf.setBackend('onnx');
    const { conv2d, averagePooling2d, upSampling2d } = tfl.layers;
    const seeded = (seed: number) => tfl.initializers.heNormal({ seed });
    const conv = (filters: number, seed: number) =>
      conv2d({ filters, kernelSize: 3, activation: 'relu', kernelInitializer: seeded(seed) });
    const input = tfl.input({ shape: [40, 40, 1] });
    const layers = [
      ...[conv(5, 1), averagePooling2d({ poolSize: 2 }), conv(6, 2), averagePooling2d({ poolSize: 3 })],
      ...[conv(4, 3), upSampling2d({ size: [6, 6] })],
      conv2d({ filters: 3, kernelSize: 1, activation: 'softmax', kernelInitializer: seeded(4) }),
    ];
    const output = layers.reduce(
      (x, layer) => layer.apply(x) as tfl.SymbolicTensor,
      input as tfl.SymbolicTensor,
    );
    const model = await FrozenModel.ofLayers(tfl.model({ inputs: input, outputs: output }), backend);
    expect(model.geometry.multiple).toBe(6);
    expect(await selfTest(oneAtATime(model), use)).toMatchObject({ exact: true });
    model.dispose();
  });
});

describe('the halo', () => {
  it('is one-sided where pixels are upsampled before a 2×2 convolution', async () => {
    const model = await frozen({ ...base, upConvolution: 'nearest' });
    const { geometry } = model;
    expect(geometry).toMatchObject({ padded: even(0), multiple: 4 });
    expect(geometry.halo.bottom - geometry.halo.top).toBe(2 + 1);
    expect(geometry.halo.bottom).toBe(geometry.halo.right);
    model.dispose();
  });
});

describe('a network that resizes its logits', () => {
  it('has one tile with an output of the same size, and is never reported as exact', async () => {
    const model = await frozen({ ...base, outputSize: 60 }, 60);
    expect(model.geometry).toMatchObject({ tileable: false, smallest: 60, halo: even(0) });
    const data = new Uint8Array(60 * 60);
    const labels = await model.predict({ data, count: 1, height: 60, width: 60, channels: 1 }, 'labels');
    expect(labels.length).toBe(60 * 60);
    expect(await selfTest(oneAtATime(model), use)).toMatchObject({ exact: false });
    model.dispose();
  });
});

describe('the mean over the eight symmetries', () => {
  it('is equivariant to rotation up to rounding, and tiles are bit-identical', async () => {
    const model = await frozen({ ...base, classes: 2 });
    const { smallest, multiple, halo } = model.geometry;
    const side = smallest + 4 * multiple;
    const data = Uint8Array.from(noise(side * side, 2, 0, 256));
    const turned = Uint8Array.from(
      data,
      (_, at) => data[(at % side) * side + (side - 1 - Math.floor(at / side))]!,
    );
    const predict = (pixels: Uint8Array, size = side) =>
      model.predict(
        { data: pixels, count: 1, height: size, width: size, channels: 1 },
        'probabilities',
        true,
      );
    const [straight, rotated] = [await predict(data), await predict(turned)];
    const out = side - 2 * halo.top;
    for (let at = 0; at < out * out; at++) {
      const from = (at % out) * out + (out - 1 - Math.floor(at / out));
      expect(Math.abs(rotated[2 * at]! - straight[2 * from]!)).toBeLessThan(1e-5);
    }
    const tile = Uint8Array.from({ length: smallest ** 2 }, (_, at) => {
      const [x, y] = [at % smallest, Math.floor(at / smallest)];
      return data[(y + multiple) * side + x + multiple]!;
    });
    const part = await predict(tile, smallest);
    const small = smallest - 2 * halo.top;
    const expected = Float32Array.from(part, (_, i) => {
      const [c, at] = [i % 2, i >> 1];
      return straight[2 * ((Math.floor(at / small) + multiple) * out + (at % small) + multiple) + c]!;
    });
    expect(firstDifference(part, expected)).toBe(-1);
    model.dispose();
  });
});
