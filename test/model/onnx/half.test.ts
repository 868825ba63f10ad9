import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GraphPrecision } from '../../../model/devices/device.js';
import { FrozenModel, type TileBatch } from '../../../model/network/frozen.js';
import { LayersNetwork } from '../../../model/network/layers-network.js';
import type { OutputKind } from '../../../model/network/output-kind.js';
import { buildUnet, type UnetConfig } from '../../../model/network/unet.js';
import type { OnnxBackend } from '../../../model/onnx/backend.js';
import { floatsOf, halvesOf } from '../../../model/onnx/half/float16.js';
import { useOnnxBackend } from '../../../model/onnx/register.js';
import { Calibrator } from '../../../model/quantisation/calibrator.js';
import { testFolder } from '../../support/files.js';
import { noise } from '../../support/oracle.js';

describe('a float of 16 bits', () => {
  const every = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits);

  it('is the same after it was widened', () => {
    const numbers = every.filter((bits) => !Number.isNaN(floatsOf(Uint16Array.of(bits))[0]));
    expect(halvesOf(floatsOf(numbers))).toEqual(numbers);
    expect(floatsOf(halvesOf(Float32Array.of(Number.NaN)))).toEqual(Float32Array.of(Number.NaN));
  });

  it('is the nearest one, and the even one between two', () => {
    const positive = floatsOf(every.subarray(0, 0x7c00));
    const between = positive.slice(0, -1).map((value, i) => (value + positive[i + 1]!) / 2);
    expect(halvesOf(between)).toEqual(Uint16Array.from(between, (_, i) => i + (i % 2)));
    expect(floatsOf(halvesOf(Float32Array.of(0.1, -1 / 3)))).toEqual(
      Float32Array.of(0.0999755859375, -0.333251953125),
    );
  });

  it('is infinite from 65,520 on, and 0 up to 2^-25', () => {
    const rounded = floatsOf(halvesOf(Float32Array.of(65519, 65520, -1e9, 2 ** -25, -(2 ** -24))));
    expect([...rounded]).toEqual([65504, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -(2 ** -24)]);
  });
});

const base: UnetConfig = { channels: [6, 12, 16], inputChannels: 1, classes: 3, seed: 1 };
const VARIANTS: [string, Partial<UnetConfig>][] = [
  ['the paper', {}],
  ['channels that a CPU computes in blocks', { channels: [16, 32] }],
  ['two classes', { classes: 2 }],
  ['one sigmoid', { head: 'sigmoid', classes: 2 }],
  ['padded convolutions', { padding: 'same' }],
  ['doubled pixels', { upConvolution: 'nearest' }],
  ['batch normalisation and dropout', { batchNorm: true, dropout: 0.5 }],
  ['colour', { inputChannels: 3 }],
  ['a resized output', { outputSize: 20 }],
];
const USES: [OutputKind, { symmetries?: boolean; threshold?: number }][] = [
  ['labels', {}],
  ['probabilities', {}],
  ['probabilities', { symmetries: true }],
];

describe('a frozen network in fp16', async () => {
  const folder = await testFolder();
  const graphsDir = join(folder, 'graphs');
  let backend: OnnxBackend;
  beforeAll(async () => {
    backend = await useOnnxBackend({
      provider: 'cpu',
      threads: 1,
      maxSessions: 64,
      precision: 'fp16',
      diagnostics: { graphsDir },
    });
  });
  afterAll(() => backend.close());

  /** A network whose biases and statistics all differ; its filters are those of a fresh one. */
  function build(variant: Partial<UnetConfig>, change = (values: Float32Array, _name: string) => values) {
    const { outputSize } = variant;
    const model = buildUnet({ ...base, ...variant }, outputSize === undefined ? undefined : 44);
    for (const layer of model.layers) {
      const weights = layer.weights.map((weight) => {
        const { size, shape } = weight.read();
        const isVector = shape.length === 1;
        const values = isVector
          ? noise(size, size, 0.2, 0.6)
          : noise(size, size, -1, 1).map((v) => v * Math.sqrt(6 / (size / shape.at(-1)!)));
        return tf.tensor(change(values, weight.name), shape);
      });
      layer.setWeights(weights);
      tf.dispose(weights);
    }
    return model;
  }

  function tileOf(model: tfl.LayersModel, side: number): TileBatch {
    const channels = model.inputs[0]!.shape[3]!;
    const values = noise(side * side * channels, 7, 0, 1);
    const data = Uint16Array.from(values, (value, i) => (65535 * value * (i % side)) / side);
    return { data, count: 1, height: side, width: side, channels };
  }

  async function computed(
    precision: GraphPrecision,
    model: tfl.LayersModel,
    output: OutputKind,
    { symmetries = false, threshold }: { symmetries?: boolean; threshold?: number } = {},
  ): Promise<Uint8Array | Float32Array> {
    backend.precision = precision;
    const frozen = await FrozenModel.ofLayers(model, backend);
    const { smallest, multiple } = frozen.geometry;
    const side = model.layers.some(({ name }) => name === 'resized') ? 44 : smallest + 4 * multiple;
    return frozen.predict(tileOf(model, side), output, symmetries, threshold);
  }

  const halved = (output: OutputKind, model: tfl.LayersModel) => computed('fp16', model, output);

  it.each(VARIANTS)('of %s differs by few units of its last digit, in few labels', async (_name, variant) => {
    for (const [output, how] of USES) {
      if (how.symmetries && (variant.upConvolution || variant.outputSize)) continue;
      const [full, half] = [
        await computed('fp32', build(variant), output, how),
        await computed('fp16', build(variant), output, how),
      ];
      expect(half.constructor).toBe(full.constructor);
      expect(half.length).toBe(full.length);
      const differences = Array.from(half, (value, i) => Math.abs(value - full[i]!));
      if (output === 'labels') {
        expect(differences.filter((difference) => difference > 0).length).toBeLessThan(0.01 * half.length);
      } else {
        expect(Math.max(...differences)).toBeLessThan(4e-3);
        expect(Math.max(...differences)).toBeGreaterThan(0);
      }
    }
  });

  it('stores weights in 16 bits; images are scaled, and probabilities computed, in 32', async () => {
    const before = new Set(await readdir(graphsDir));
    await halved('probabilities', build({ channels: [5, 7, 9] }));
    const [listing] = (await readdir(graphsDir)).filter((name) => name.endsWith('.txt') && !before.has(name));
    const lines = (await readFile(join(graphsDir, listing!), 'utf8')).split('\n');
    const nameOf = (line: string) => /^ {2}(\w+)/.exec(line)![1]!;
    const halves = new Set(lines.filter((line) => / = Cast\(.* to=10/.test(line)).map(nameOf));
    for (const line of lines.filter((text) => /: float16 /.test(text))) halves.add(nameOf(line));
    for (const line of lines.filter((text) => / = [A-Z]\w+\(/.test(text))) {
      const inputs = /\((.*?)\)/.exec(line)![1]!.split(', ');
      if (!line.includes('Cast(') && inputs.some((name) => halves.has(name))) halves.add(nameOf(line));
    }
    const inputsOf = (type: string) =>
      lines.flatMap((line) => new RegExp(` = ${type}\\((.*?)\\)`).exec(line)?.[1]?.split(', ') ?? []);
    expect(inputsOf('Conv').filter((name) => !halves.has(name))).toEqual([]);
    expect(inputsOf('Conv').length).toBeGreaterThan(20);
    expect(inputsOf('Softmax').filter((name) => halves.has(name))).toEqual([]);
    expect(inputsOf('Div').filter((name) => halves.has(name))).toEqual([]);
    expect(inputsOf('Relu')).toEqual([]); // it may end an overflow
    expect(inputsOf('AveragePool')).toEqual(inputsOf('MaxPool'));
    const floats = lines.filter((line) => /: float32 \[\d/.test(line) && !/^ {2}[io]\d/.test(line));
    expect(floats).toEqual([]);
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}overflow: float32 \[\]/));
  });

  it('refuses weights that 16 bits do not hold', async () => {
    const model = build({}, (values, name) =>
      name.includes('down_1_a') ? values.map((v) => v * 1e6) : values,
    );
    await expect(halved('labels', model)).rejects.toMatchObject({
      code: 'bad-precision',
      message: expect.stringMatching(/a weight of \d+.* holds numbers up to 65504: choose fp32/),
    });
  });

  it.each(['labels', 'probabilities'] as const)(
    'refuses feature maps that 16 bits do not hold: %s',
    async (output) => {
      const model = () =>
        build({}, (values, name) => (/down_[01]_[ab]/.test(name) ? values.map((v) => v * 40) : values));
      const full = await computed('fp32', model(), output);
      expect(full.every(Number.isFinite)).toBe(true);
      await expect(halved(output, model())).rejects.toMatchObject({
        code: 'bad-precision',
        message:
          'the network computed a number above 65504, which --precision fp16 does not hold: choose fp32',
      });
    },
  );

  it('refuses a feature map whose numbers a further layer would bound', async () => {
    const network = (factor: number) => {
      const input = tfl.input({ shape: [8, 8, 1] });
      const bounded = tfl.layers.reLU({ maxValue: 6 });
      const first = tfl.layers.conv2d({ filters: 4, kernelSize: 3, name: 'first' });
      const scores = tfl.layers.conv2d({ filters: 2, kernelSize: 1 });
      const softmax = tfl.layers.activation({ activation: 'softmax' });
      const layers = [first, bounded, scores, softmax];
      const output = layers.reduce((x, layer) => layer.apply(x) as tfl.SymbolicTensor, input);
      first.setWeights([tf.fill([3, 3, 1, 4], factor), tf.zeros([4])]);
      return tfl.model({ inputs: input, outputs: output });
    };
    expect(await computed('fp32', network(3e4), 'probabilities')).toContainEqual(expect.any(Number));
    expect(await halved('probabilities', network(3))).toContainEqual(expect.any(Number));
    await expect(halved('probabilities', network(3e4))).rejects.toMatchObject({ code: 'bad-precision' });
  });

  it('normalises with statistics that 16 bits do not hold', async () => {
    // tiny and huge variances, as of dead and of unscaled channels
    const variances = (values: Float32Array, name: string) =>
      name.includes('moving_variance') ? values.map((v, i) => v * (i % 2 === 0 ? 1e-6 : 1e6)) : values;
    const small = (values: Float32Array, name: string) =>
      name.includes('gamma') ? values.map((v, i) => v * (i % 2 === 0 ? 1e-2 : 1e3)) : variances(values, name);
    const [full, half] = [
      await computed('fp32', build({ batchNorm: true }, small), 'probabilities'),
      await computed('fp16', build({ batchNorm: true }, small), 'probabilities'),
    ];
    expect(Math.max(...half.map((value, i) => Math.abs(value - full[i]!)))).toBeLessThan(1e-2);
  });

  it('is refused for a quantised version', async () => {
    backend.precision = 'fp32';
    const calibrator = await Calibrator.of(new LayersNetwork(build({})), backend);
    await calibrator.observe(tileOf(build({}), 76));
    const ranges = calibrator.ranges();
    calibrator.dispose();
    backend.precision = 'fp16';
    await expect(FrozenModel.ofLayers(build({}), backend, ranges)).rejects.toMatchObject({
      code: 'bad-request',
      message: expect.stringMatching(/compute with bytes.*--precision fp32/),
    });
  });
});
