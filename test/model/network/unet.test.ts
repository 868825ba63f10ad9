import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { beforeAll, describe, expect, it } from 'vitest';
import { tileGeometryOf } from '../../../model/network/geometry.js';
import { buildUnet, PAPER, type UnetConfig } from '../../../model/network/unet.js';
import { onnxBesideCpu } from '../../support/oracle.js';
import { even } from '../../support/rasters.js';

beforeAll(async () => {
  await onnxBesideCpu();
  await tf.setBackend('cpu');
});

const small = { channels: [2, 3, 4], inputChannels: 1, classes: 2, seed: 1 } as const;
const whole = { padded: even(0), tileable: true };
const classesOf = (model: tfl.LayersModel, name: string) =>
  model.layers.filter((layer) => layer.getClassName() === name).length;

describe("the paper's network", () => {
  const model = buildUnet(PAPER, 572);

  it('has 23 convolutions and 31,030,658 parameters, and maps 572 px to 388 px', () => {
    expect(classesOf(model, 'Conv2D') + classesOf(model, 'Conv2DTranspose')).toBe(23);
    expect(model.countParams()).toBe(31_030_658);
    expect(model.outputs[0]!.shape).toEqual([null, 388, 388, 2]);
  });

  it('has a halo of 92 px, a multiple of 16 and 204 px as its smallest useful tile', () => {
    expect(tileGeometryOf(model)).toEqual({ ...whole, halo: even(92), multiple: 16, smallest: 204 });
  });
});

describe('the geometry derived from the layers', () => {
  it.each([
    [1, { ...whole, halo: even(8), multiple: 2, smallest: 18 }],
    [2, { ...whole, halo: even(20), multiple: 4, smallest: 44 }],
    [3, { ...whole, halo: even(44), multiple: 8, smallest: 100 }],
  ])('at depth %i', (depth, expected) => {
    const channels = Array.from({ length: depth + 1 }, (_, i) => i + 1);
    expect(tileGeometryOf(buildUnet({ ...small, channels }))).toEqual(expected);
  });

  it('matches the network: the output of every valid size is smaller by the halo', () => {
    const model = buildUnet(small);
    const { halo, multiple, smallest } = tileGeometryOf(model);
    for (const k of [0, 1, 5]) {
      const side = smallest + k * multiple;
      const y = tf.tidy(() => (model.apply(tf.zeros([1, side, side + multiple, 1])) as tf.Tensor).shape);
      expect(y).toEqual([1, side - 2 * halo.top, side + multiple - 2 * halo.top, 2]);
    }
  });

  const chain = (...layers: tfl.layers.Layer[]) => {
    const input = tfl.input({ shape: [64, 64, 1] });
    const output = layers.reduce((x, layer) => layer.apply(x) as tfl.SymbolicTensor, input);
    return tfl.model({ inputs: input, outputs: output });
  };
  const { conv2d, maxPooling2d, conv2dTranspose, dense, upSampling2d, globalAveragePooling2d, reshape } =
    tfl.layers;
  const conv = (args: object) => conv2d({ filters: 1, kernelSize: 3, ...args });

  it.each<[string, () => tfl.LayersModel]>([
    ['strided', () => chain(conv({ name: 'strided', strides: 2 }))],
    ['pool', () => chain(maxPooling2d({ name: 'pool', poolSize: 2 }))],
    ['rest', () => chain(dense({ name: 'rest', units: 2 }))],
    ['global', () => chain(globalAveragePooling2d({ name: 'global' }), reshape({ targetShape: [1, 1, 1] }))],
    ['finer', () => chain(conv2dTranspose({ name: 'finer', filters: 1, kernelSize: 2, strides: 2 }))],
    [
      'smooth',
      () => chain(maxPooling2d({ poolSize: 2 }), upSampling2d({ name: 'smooth', interpolation: 'bilinear' })),
    ],
  ])('refuses a network that cannot be exact, naming its layer "%s"', (name, build) => {
    expect(() => tileGeometryOf(build())).toThrow(`layer "${name}" prevents exact tiling`);
  });

  it('counts pixels affected by zero padding, separately for the four sides', () => {
    expect(tileGeometryOf(chain(conv({ padding: 'same' })))).toMatchObject({
      halo: even(1),
      padded: even(1),
    });
    const forward = { top: 0, left: 0, bottom: 1, right: 1 };
    expect(tileGeometryOf(chain(conv({ kernelSize: 2 })))).toMatchObject({ halo: forward, padded: even(0) });
    expect(tileGeometryOf(chain(conv({ kernelSize: 2, padding: 'same' })))).toMatchObject({
      halo: forward,
      padded: forward,
    });
  });

  it('aligns tiles to the least common multiple of the poolings of merged branches', () => {
    const input = tfl.input({ shape: [60, 60, 1] });
    const branches = [2, 3, 4].map((size) => {
      const pooled = maxPooling2d({ poolSize: size }).apply(input) as tfl.SymbolicTensor;
      return upSampling2d({ size: [size, size] }).apply(pooled) as tfl.SymbolicTensor;
    });
    const output = tfl.layers.add().apply(branches) as tfl.SymbolicTensor;
    const model = tfl.model({ inputs: input, outputs: output });
    expect(() => tileGeometryOf(model)).not.toThrow();
    expect(tileGeometryOf(model)).toEqual({ ...whole, halo: even(0), multiple: 12, smallest: 12 });
  });

  it('accepts a network without pooling', () => {
    expect(tileGeometryOf(chain(conv({}), conv({ dilationRate: 2 })))).toEqual({
      ...whole,
      halo: even(3),
      multiple: 1,
      smallest: 7,
    });
  });
});

describe('an invalid network', () => {
  it.each<[UnetConfig, RegExp]>([
    [{ ...small, channels: [4] }, /channels/],
    [{ ...small, channels: [4, 0] }, /channels/],
    [{ ...small, classes: 1 }, /classes/],
    [{ ...small, decoderChannels: [3] }, /decoderChannels must list 2/],
    [{ ...small, classes: 3, head: 'sigmoid' }, /a sigmoid head has two classes/],
    [{ ...small, dropout: 1 }, /dropout/],
    [{ ...small, outputSize: 1000 }, /larger than the input/],
  ])('is refused', (config, message) => {
    expect(() => buildUnet(config)).toThrow(message);
  });
});

describe('initialisation', () => {
  it('is deterministic for a seed, and differs between seeds', async () => {
    const first = async (seed: number) => {
      const model = buildUnet({ ...small, seed });
      const values = await Promise.all(model.getWeights().map((w) => w.data()));
      model.dispose();
      return values.map((v) => Array.from(v));
    };
    expect(await first(5)).toEqual(await first(5));
    expect(await first(5)).not.toEqual(await first(6));
  });
});
