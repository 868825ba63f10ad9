import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { selfTest } from '../../../model/exactness/self-test.js';
import { verifyTiles } from '../../../model/exactness/verify-tiles.js';
import { importOnnx } from '../../../model/imported/import-onnx.js';
import { FrozenModel } from '../../../model/network/frozen.js';
import type { Margins, TileGeometry } from '../../../model/network/geometry.js';
import type { TileModel } from '../../../model/network/tile-model.js';
import type { OnnxBackend } from '../../../model/onnx/backend.js';
import type { Attributes } from '../../../model/onnx/proto.js';
import { computedBy, OnnxGraphs } from '../../support/onnx-graphs.js';
import { difference, noise, oneAtATime, onnxBesideCpu } from '../../support/oracle.js';
import { even } from '../../support/rasters.js';

let backend: OnnxBackend;
beforeAll(async () => {
  backend = await onnxBesideCpu();
  await tf.setBackend('onnx');
});
afterAll(() => backend.close());

/** A U-Net of depth 1 between two convolutions: what goes down, what goes up, and what follows each convolution. */
function unet(
  down: (g: OnnxGraphs, x: string, channels: number) => string,
  up: (g: OnnxGraphs, x: string, channels: number) => string,
  act: (g: OnnxGraphs, x: string) => string = (g, x) => g.relu(x),
): Uint8Array {
  const g = new OnnxGraphs(1);
  const first = act(g, g.conv('image', 1, 16));
  const low = act(g, g.conv(down(g, first, 16), 16, 16));
  const joined = g.g.op('Concat', [first, up(g, low, 16)], { axis: 1 });
  return g.file(g.conv(act(g, g.conv(joined, 32, 16)), 16, 3, 1));
}

type Part = (g: OnnxGraphs, x: string, channels: number) => string;
const pool: Part = (g, x) => g.pool(x);
const windows =
  (opType: string, kernel: number, stride: number, pad: number, more: object = {}): Part =>
  (g, x) =>
    g.g.op(opType, [x], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
      ...more,
    });
const strided =
  (kernel: number): Part =>
  (g, x, c) =>
    g.conv(x, c, c, kernel, { strides: [2, 2] });
const transposed =
  (kernel: number, pad: number, outputPadding = 0): Part =>
  (g, x, c) =>
    g.g.op('ConvTranspose', [x, g.weight([c, c, kernel, kernel]), g.weight([c])], {
      kernel_shape: [kernel, kernel],
      strides: [2, 2],
      pads: [pad, pad, pad, pad],
      output_padding: [outputPadding, outputPadding],
    });
const transposedTo =
  (attributes: Attributes): Part =>
  (g, x, c) =>
    g.g.op('ConvTranspose', [x, g.weight([c, c, 3, 3]), g.weight([c])], { strides: [2, 2], ...attributes });
const k2s2 = transposed(2, 0);
const doubled =
  (mode: string, place?: string): Part =>
  (g, x) =>
    g.resize(x, 2, mode, place);
const unary =
  (opType: string, attributes = {}) =>
  (g: OnnxGraphs, x: string): string =>
    g.g.op(opType, [x], attributes);

const EXACT: [string, () => Uint8Array][] = [
  ['max pooling and k2s2', () => unet(pool, k2s2)],
  ['average pooling', () => unet(windows('AveragePool', 2, 2, 0), k2s2)],
  [
    'average pooling that counts its padding',
    () => unet(windows('AveragePool', 3, 2, 1, { count_include_pad: 1 }), k2s2),
  ],
  ['max pooling 3/2 with padding', () => unet(windows('MaxPool', 3, 2, 1), k2s2)],
  ['max pooling that rounds up', () => unet(windows('MaxPool', 3, 2, 0, { ceil_mode: 1 }), k2s2)],
  ['a strided 3×3 convolution', () => unet(strided(3), k2s2)],
  ['a strided 7×7 convolution', () => unet(strided(7), k2s2)],
  ['k3s2p1 with output padding', () => unet(pool, transposed(3, 1, 1))],
  ['k4s2p1', () => unet(pool, transposed(4, 1))],
  ['k3s2 as large as its input', () => unet(pool, transposedTo({ auto_pad: 'SAME_UPPER' }))],
  ['k3s2 as large as its input, cut in front', () => unet(pool, transposedTo({ auto_pad: 'SAME_LOWER' }))],
  ['linear doubling', () => unet(pool, doubled('linear'))],
  ['linear doubling as PyTorch has it', () => unet(pool, doubled('linear', 'pytorch_half_pixel'))],
  ['cubic doubling', () => unet(pool, doubled('cubic'))],
  ['nearest doubling', () => unet(pool, doubled('nearest', 'asymmetric'))],
  [
    'px that are repeated as Keras does',
    () =>
      unet(pool, (g, x, c) => {
        const sides = (factor: number, d: number) => {
          const side = g.g.op('Gather', [g.g.op('Shape', [x]), g.g.ints([d])]);
          return g.g.op('Mul', [side, g.g.ints([factor])]);
        };
        const shape = (down: number, across: number) =>
          g.g.op('Concat', [g.g.ints([1]), sides(down, 2), sides(across, 3), g.g.ints([c])], { axis: 0 });
        const rows = g.g.op('Tile', [g.g.op('Unsqueeze', [x, g.g.ints([3])]), g.g.ints([1, 1, 1, 2, 1])]);
        const last = g.g.op('Transpose', [rows], { perm: [0, 2, 3, 4, 1] });
        const taller = g.g.op('Reshape', [last, shape(2, 1)]);
        const columns = g.g.op('Unsqueeze', [taller, g.g.ints([3])]);
        const wider = g.g.op('Reshape', [g.g.op('Tile', [columns, g.g.ints([1, 1, 1, 2, 1])]), shape(2, 2)]);
        return g.g.op('Transpose', [wider], { perm: [0, 3, 1, 2] });
      }),
  ],
  [
    'a shuffle of channels to px',
    () =>
      unet(pool, (g, x, c) =>
        g.g.op('DepthToSpace', [g.conv(x, c, 4 * c, 1)], { blocksize: 2, mode: 'CRD' }),
      ),
  ],
  ['depthwise convolutions', () => unet(pool, k2s2, (g, x) => g.relu(g.conv(x, 1, 16, 3, { group: 16 })))],
  [
    'dilation',
    () => unet(pool, k2s2, (g, x) => g.relu(g.conv(x, 16, 16, 3, { dilations: [2, 2], pads: [2, 2, 2, 2] }))),
  ],
  ['SiLU', () => unet(pool, k2s2, (g, x) => g.g.op('Mul', [x, g.g.op('Sigmoid', [x])]))],
  ['leaky ReLU', () => unet(pool, k2s2, unary('LeakyRelu', { alpha: { float: 0.2 } }))],
  ['PReLU', () => unet(pool, k2s2, (g, x) => g.g.op('PRelu', [x, g.weight([16, 1, 1])]))],
  ['HardSwish', () => unet(pool, k2s2, unary('HardSwish'))],
  ['Mish', () => unet(pool, k2s2, unary('Mish'))],
  ['ELU', () => unet(pool, k2s2, unary('Elu'))],
  [
    'batch normalisation',
    () =>
      unet(pool, k2s2, (g, x) =>
        g.relu(
          g.g.op('BatchNormalization', [
            x,
            ...[g.weight([16], 0.5, 1), g.weight([16]), g.weight([16]), g.weight([16], 0.5, 1)],
          ]),
        ),
      ),
  ],
  [
    'an attention gate',
    () => unet(pool, k2s2, (g, x) => g.g.op('Mul', [x, g.g.op('Sigmoid', [g.conv(g.relu(x), 16, 1, 1)])])),
  ],
  [
    'a normalisation of the channels of each px',
    () =>
      unet(pool, k2s2, (g, x) => {
        const last = g.g.op('Transpose', [x], { perm: [0, 2, 3, 1] });
        const normalised = g.g.op('LayerNormalization', [last, g.weight([16]), g.weight([16])], { axis: -1 });
        const mixed = g.g.op('MatMul', [normalised, g.weight([16, 16])]);
        return g.relu(g.g.op('Transpose', [mixed], { perm: [0, 3, 1, 2] }));
      }),
  ],
];

describe('a graph of exact operators', () => {
  it.each(EXACT)(
    'with %s computes what ONNX Runtime does, and its tiles equal one pass',
    async (_name, write) => {
      const file = write();
      const network = importOnnx(file);
      const { smallest, multiple } = network.geometry;
      const [height, width] = [smallest + multiple, smallest];
      const pixels = noise(height * width, 1, 0, 1);
      const expected = await computedBy(file, pixels, [height, width]);
      const image = tf.tensor(pixels, [1, height, width, 1]) as tf.Tensor4D;
      const y = tf.tidy(() => tf.transpose(network.result(image), [0, 3, 1, 2]));
      expect(difference([...(await y.data())], expected)).toBeLessThan(1e-5);
      tf.dispose([image, y]);

      const before = tf.memory().numTensors;
      const model = await FrozenModel.of(network, backend);
      const tested = oneAtATime(model);
      expect(await selfTest(tested, { output: 'labels', symmetries: false, channels: 1 })).toMatchObject({
        exact: true,
      });
      expect(await verifyTiles(tested, 1, 8)).toMatchObject({
        tiles: { differing: 0 },
        outside: { differing: 0 },
      });
      expect(tf.memory().numTensors).toBe(before);
      model.dispose();
    },
  );

  it('has poolings on the px on which one pass over the image alone has them', async () => {
    const g = new OnnxGraphs(1);
    const deep = g.relu(g.conv(g.pool(g.pool(g.conv('image', 1, 4))), 4, 4));
    const file = g.file(g.conv(g.resize(deep, 4, 'nearest', 'asymmetric'), 4, 1));
    const network = importOnnx(file);
    const { halo, padded, multiple, smallest } = network.geometry;
    const side = smallest + 4 * multiple;
    expect(network.reach.top % multiple).not.toBe(0);
    expect({ ...padded, left: halo.left % multiple, top: halo.top % multiple, multiple }).toEqual({
      ...halo,
      left: 0,
      top: 0,
      multiple: 4,
    });
    const pixels = noise(side * side, 3, 0, 1);
    const expected = await computedBy(file, pixels, [side, side]);
    const model = await FrozenModel.of(network, backend);
    const tile = { data: pixels, count: 1, width: side, height: side, channels: 1 };
    const found = (await oneAtATime(model).predict(tile, 'probabilities', false)) as Float32Array;
    const width = side - halo.left - halo.right;
    const own = Array.from({ length: found.length / 2 }, (_, i) => {
      const [y, x] = [Math.floor(i / width) + halo.top, (i % width) + halo.left];
      return Math.abs(found[2 * i + 1]! - 1 / (1 + Math.exp(-expected[y * side + x]!)));
    });
    expect(own.length).toBeGreaterThan(16);
    expect(Math.max(...own)).toBeLessThan(1e-5);
    model.dispose();
  });

  it('is computed by other backends of TensorFlow.js, but for nodes that they do not have', async () => {
    const [plain, other] = [unet(pool, k2s2), unet(pool, k2s2, unary('HardSwish'))].map((file) => {
      const network = importOnnx(file);
      return { network, run: () => tf.tidy(() => network.result(tf.zeros([1, 8, 8, 1]) as tf.Tensor4D)) };
    });
    await tf.setBackend('cpu');
    const y = plain!.run();
    expect(y.shape).toEqual([1, 8, 8, 3]);
    expect(other!.run).toThrow(/\(HardSwish\) .* --engine onnx only, not by cpu/);
    y.dispose();
    await tf.setBackend('onnx');
    for (const { network } of [plain!, other!]) network.dispose();
  });

  it.each(['labels', 'both'] as const)(
    'passes the self-test for %s, also with symmetries',
    async (output) => {
      const model = await FrozenModel.of(importOnnx(unet(pool, doubled('linear'))), backend);
      for (const symmetries of [false, true]) {
        const outcome = await selfTest(oneAtATime(model), { output, symmetries, channels: 1 });
        expect(outcome).toEqual({ exact: true, largestDifference: 0 });
      }
      model.dispose();
    },
  );

  it('has a halo that suffices, and no more: one px less changes what a tile owns', async () => {
    const network = importOnnx(unet(strided(3), doubled('linear')));
    const { halo, smallest, multiple } = network.geometry;
    const full = smallest + 8 * multiple;
    const scores = async (values: Float32Array) => {
      const image = tf.tensor(values, [1, full, full, 1]) as tf.Tensor4D;
      const y = tf.tidy(() => network.scores(image));
      const data = await y.data();
      tf.dispose([image, y]);
      return data;
    };
    const image = noise(full * full, 2, 0, 1);
    // the image without its first row: what the first px of the first tile's output depends on is gone
    const within = 4 * multiple + halo.top;
    const row = (data: ArrayLike<number>, y: number) =>
      Array.from(data)
        .slice(y * full * 3, (y + 1) * full * 3)
        .join();
    const original = await scores(image);
    const cleared = image.map((value, i) => (i < 4 * multiple * full ? 1 - value : value));
    expect(row(await scores(cleared), within)).toBe(row(original, within));
    const more = image.map((value, i) => (i < (4 * multiple + 3) * full ? 1 - value : value));
    expect(row(await scores(more), within)).not.toBe(row(original, within));
    network.dispose();
  });

  it('is verified: a halo of one px less is found, and so are strides that are not multiples', async () => {
    const network = importOnnx(unet(pool, k2s2));
    const { geometry } = network;
    const less = (margins: Margins) => ({ ...margins, top: margins.top - 1, bottom: margins.bottom - 1 });
    const wrong: TileGeometry[] = [
      { ...geometry, halo: less(network.reach), padded: less(network.reach) },
      { ...geometry, multiple: 1 },
    ];
    for (const each of wrong) {
      const claimed: TileModel = {
        ...network,
        geometry: each,
        inputChannels: network.inputChannels,
        parameters: network.parameters,
        facts: network.facts,
        scores: (x) => network.scores(x),
        result: (x) => network.result(x),
        dispose: () => {},
      };
      const model = await FrozenModel.of(claimed, backend);
      const { tiles } = await verifyTiles(oneAtATime(model), 1, 8);
      expect(tiles.differing).toBeGreaterThan(0);
    }
    network.dispose();
  });

  it('is verified with noise of another range where one pass returns hardly any values', async () => {
    const saturated = (gain: number) => {
      const g = new OnnxGraphs(1);
      const bias = g.g.initializer('float32', [1], Float32Array.of(100));
      const scores = g.g.op('Conv', ['image', g.weight([1, 1, 3, 3], -gain, gain), bias], {
        pads: [1, 1, 1, 1],
      });
      return importOnnx(g.file(g.g.op('Sigmoid', [scores])));
    };
    const verify = async (network: TileModel) => {
      const model = await FrozenModel.of(network, backend);
      return verifyTiles(oneAtATime(model), 1, 8).finally(() => model.dispose());
    };
    expect(await verify(saturated(1))).toMatchObject({ tiles: { differing: 0 } });
    const network = saturated(1);
    const shifted = { ...network.geometry, halo: even(0), padded: even(0), smallest: 2 };
    const claimed: TileModel = {
      ...network,
      geometry: shifted,
      inputChannels: 1,
      parameters: 10,
      facts: [],
      scores: (x) => network.scores(x),
      result: (x) => network.result(x),
      dispose: () => network.dispose(),
    };
    expect((await verify(claimed)).tiles.differing).toBeGreaterThan(0);
    await expect(verify(saturated(0))).rejects.toThrow(/fewer than 100 different values/);
  });
});
