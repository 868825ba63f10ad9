import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { beforeAll, describe, expect, it } from 'vitest';
import { type GraphUse, selfTest } from '../../../model/exactness/self-test.js';
import { FrozenModel, type TileBatch } from '../../../model/network/frozen.js';
import { LayersNetwork } from '../../../model/network/layers-network.js';
import { buildUnet, type UnetConfig } from '../../../model/network/unet.js';
import type { OnnxBackend } from '../../../model/onnx/backend.js';
import { Calibrator } from '../../../model/quantisation/calibrator.js';
import { noise, onnxBesideCpu } from '../../support/oracle.js';

let backend: OnnxBackend;
beforeAll(async () => {
  backend = await onnxBesideCpu();
});

const base: UnetConfig = { channels: [8, 12, 16], inputChannels: 1, classes: 3, seed: 1 };
const VARIANTS: [string, Partial<UnetConfig>][] = [
  ['the paper', {}],
  ['channels in blocks', { channels: [16, 32, 64] }],
  ['channels in several blocks', { channels: [32, 64] }],
  ['one convolution per level', { convolutions: 1 }],
  ['same padding', { padding: 'same' }],
  ['nearest-neighbour up-convolution', { upConvolution: 'nearest' }],
  ['nearest-neighbour up-convolution with same padding', { upConvolution: 'nearest', padding: 'same' }],
  ['batch normalisation', { batchNorm: true }],
  ['dropout', { dropout: 0.5 }],
  ['explicit decoder channels', { decoderChannels: [6, 20] }],
  ['one sigmoid', { head: 'sigmoid', classes: 2 }],
  ['colour', { inputChannels: 3 }],
  ['odd numbers of channels', { channels: [3, 5, 7] }],
];

/** A network whose biases and statistics all differ; its filters are those of a fresh one. */
function build(config: UnetConfig): tfl.LayersModel {
  const model = buildUnet(config);
  tf.tidy(() =>
    model.setWeights(
      model
        .getWeights()
        .map((w, i) => (w.shape.length === 1 ? tf.tensor1d(noise(w.size, i + 1, 0.2, 0.6)) : w.clone())),
    ),
  );
  return model;
}

/** Noise from dark to bright, so that there is something to see. */
function tileOf({ inputChannels: channels }: UnetConfig, side: number): TileBatch {
  const values = noise(side * side * channels, 7, 0, 1);
  const data = Uint8Array.from(values, (value, i) => (255 * value * (i % side)) / side);
  return { data, count: 1, height: side, width: side, channels };
}

/** A network as it is and quantised, the ranges from one tile. */
async function quantise(config: UnetConfig) {
  await tf.setBackend('onnx');
  const original = await FrozenModel.ofLayers(build(config), backend);
  const { smallest, multiple } = original.geometry;
  const tile = tileOf(config, smallest + 4 * multiple);
  const calibrator = await Calibrator.of(new LayersNetwork(build(config)), backend);
  await calibrator.observe(tile);
  const ranges = calibrator.ranges();
  calibrator.dispose();
  const quantised = await FrozenModel.ofLayers(build(config), backend, ranges);
  return { original, quantised, ranges, tile };
}

describe('a quantised network', () => {
  it.each(VARIANTS)('%s: computes nearly what the original does', async (_name, variant) => {
    const { original, quantised, tile } = await quantise({ ...base, ...variant });
    const [before, after] = [
      (await original.predict(tile, 'probabilities')) as Float32Array,
      (await quantised.predict(tile, 'probabilities')) as Float32Array,
    ];
    const differences = before.map((value, i) => Math.abs(value - after[i]!));
    const mean = differences.reduce((a, b) => a + b, 0) / differences.length;
    expect(mean).toBeGreaterThan(0);
    expect(mean).toBeLessThan(0.015);
    original.dispose();
    quantised.dispose();
  });

  it.each(VARIANTS)('%s: tiles are bit-identical to one pass', async (_name, variant) => {
    const config = { ...base, ...variant };
    const { original, quantised } = await quantise(config);
    const use: GraphUse = { output: 'both', symmetries: false, channels: config.inputChannels };
    expect(await selfTest(quantised, use)).toMatchObject({ exact: true });
    original.dispose();
    quantised.dispose();
  });

  it('averages over symmetries exactly', async () => {
    const { original, quantised } = await quantise({ ...base, classes: 2 });
    const use: GraphUse = { output: 'labels', symmetries: true, channels: 1, threshold: true };
    const network = {
      geometry: quantised.geometry,
      predict: (batch: TileBatch, output: GraphUse['output'], symmetries: boolean) =>
        quantised.predict(batch, output, symmetries, 0.5),
    };
    expect(await selfTest(network, use)).toMatchObject({ exact: true });
    original.dispose();
    quantised.dispose();
  });

  it('leaves no tensor and no session behind', async () => {
    await backend.settled();
    const before = { ...backend.stats, tensors: tf.memory().numTensors, buffers: backend.numDataIds() };
    const { original, quantised, tile } = await quantise(base);
    await quantised.predict(tile, 'labels');
    original.dispose();
    quantised.dispose();
    await backend.settled();
    const { compiled } = before;
    expect({
      ...backend.stats,
      compiled,
      tensors: tf.memory().numTensors,
      buffers: backend.numDataIds(),
    }).toEqual(before);
  });
});

describe('ranges', () => {
  it('cover every feature map, channel by channel, and widen with each batch', async () => {
    await tf.setBackend('onnx');
    const calibrator = await Calibrator.of(new LayersNetwork(build(base)), backend);
    const tile = tileOf(base, 44 + 4 * 4);
    const dark = { ...tile, data: tile.data.map(() => 0) };
    await calibrator.observe(dark);
    const narrow = calibrator.ranges();
    await calibrator.observe(tile);
    const wide = calibrator.ranges();
    await calibrator.observe(dark);
    expect(calibrator.ranges()).toEqual(wide);
    expect(Object.keys(wide)).toContain('down_1_b_relu');
    expect(Object.keys(wide)).toContain('up_0');
    expect(Object.keys(wide)).not.toContain('logits');
    for (const [layer, { low, high }] of Object.entries(wide)) {
      expect(low.length).toBe(high.length);
      expect(low.every((value, c) => value <= narrow[layer]!.low[c]! && value <= high[c]!)).toBe(true);
      expect(high.some((value, c) => value > narrow[layer]!.high[c]!)).toBe(true);
    }
    calibrator.dispose();
  });

  it('of other layers, or of other numbers of channels, are refused', async () => {
    const { original, quantised, ranges } = await quantise(base);
    original.dispose();
    quantised.dispose();
    const { up_0, ...others } = ranges;
    const missing = build(base);
    await expect(FrozenModel.ofLayers(missing, backend, others)).rejects.toMatchObject({
      code: 'bad-checkpoint',
      message: expect.stringContaining('8 channels for layer "up_0"'),
    });
    const narrow = { ...ranges, up_0: { low: up_0!.low.slice(1), high: up_0!.high.slice(1) } };
    await expect(FrozenModel.ofLayers(missing, backend, narrow)).rejects.toMatchObject({
      code: 'bad-checkpoint',
    });
    missing.dispose();
  });
});

describe('a network that cannot be quantised', () => {
  const { conv2d, averagePooling2d, upSampling2d, activation } = tfl.layers;
  const networks: [string, tfl.layers.Layer[], RegExp][] = [
    [
      'an unknown layer',
      [
        conv2d({ filters: 4, kernelSize: 3 }),
        averagePooling2d({ name: 'mean', poolSize: 2 }),
        upSampling2d({ size: [2, 2] }),
      ],
      /layer "mean" .* AveragePooling2D/,
    ],
    [
      'another activation',
      [conv2d({ name: 'bent', filters: 4, kernelSize: 3, activation: 'elu' })],
      /layer "bent" .* activation is elu/,
    ],
    [
      'scores that are not pointwise',
      [conv2d({ filters: 4, kernelSize: 3 }), conv2d({ name: 'scores', filters: 2, kernelSize: 3 })],
      /layer "scores" .* 1×1/,
    ],
    [
      'no convolution in front',
      [upSampling2d({ name: 'first', size: [1, 1] }), conv2d({ filters: 2, kernelSize: 1 })],
      /layer "first" .* by a convolution/,
    ],
  ];

  it.each(networks)('is refused by its layer: %s', async (_name, layers, reason) => {
    await tf.setBackend('onnx');
    const input = tfl.input({ shape: [16, 16, 1] });
    const output = [...layers, activation({ activation: 'softmax' })].reduce(
      (x, layer) => layer.apply(x) as tfl.SymbolicTensor,
      input as tfl.SymbolicTensor,
    );
    const model = tfl.model({ inputs: input, outputs: output });
    const ranges = Object.fromEntries(
      model.layers.map(({ name }) => [name, { low: [0, 0, 0, 0], high: [1, 1, 1, 1] }]),
    );
    await expect(FrozenModel.ofLayers(model, backend, ranges)).rejects.toMatchObject({
      code: 'unquantisable',
      message: expect.stringMatching(reason),
    });
    model.dispose();
  });
});
