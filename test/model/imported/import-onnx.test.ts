import * as tf from '@tensorflow/tfjs-core';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { selfTest } from '../../../model/exactness/self-test.js';
import { verifyTiles } from '../../../model/exactness/verify-tiles.js';
import { importOnnx } from '../../../model/imported/import-onnx.js';
import { FrozenModel } from '../../../model/network/frozen.js';
import type { Margins, TileGeometry } from '../../../model/network/geometry.js';
import type { TileModel } from '../../../model/network/tile-model.js';
import type { OnnxBackend } from '../../../model/onnx/backend.js';
import type { Attributes } from '../../../model/onnx/proto.js';
import { OnnxGraphs } from '../../support/onnx-graphs.js';
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

/** What ONNX Runtime computes with a file of one input of one channel, and one output. */
async function computedBy(file: Uint8Array, pixels: Float32Array, [height, width]: [number, number]) {
  const session = await ort.InferenceSession.create(file);
  const feeds = { image: new ort.Tensor('float32', pixels, [1, 1, height, width]) };
  const { scores } = await session.run(feeds);
  await session.release();
  return [...(scores!.data as Float32Array)];
}

describe('an ONNX graph', () => {
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

  it('folds shapes: an image that is resized to the size of another, and cropped to its centre', () => {
    const g = new OnnxGraphs(1);
    const first = g.relu(g.conv('image', 1, 4, 3, { pads: [0, 0, 0, 0] }));
    const low = g.pool(first);
    const shape = g.g.op('Shape', [first]);
    const sides = g.g.op('Slice', [shape, g.g.ints([2]), g.g.ints([4]), g.g.ints([0])]);
    const channels = g.g.op('Slice', [g.g.op('Shape', [low]), g.g.ints([0]), g.g.ints([2]), g.g.ints([0])]);
    const sizes = g.g.op('Concat', [channels, sides], { axis: 0 });
    const up = g.g.op('Resize', [low, '', '', sizes], { mode: 'linear' });
    const network = importOnnx(g.file(g.g.op('Concat', [first, up], { axis: 1 })));
    expect(network.geometry).toMatchObject({ halo: even(2), padded: even(1), multiple: 2 });
    network.dispose();
  });

  it.each([
    ['softmax', 3, 'softmax'],
    ['sigmoid', 1, 'sigmoid'],
  ] as const)('that ends in a %s has its scores in front of it', (_name, channels, kind) => {
    const g = new OnnxGraphs(1);
    const scores = g.conv('image', 1, channels);
    const network = importOnnx(
      g.file(kind === 'softmax' ? g.g.op('Softmax', [scores], { axis: 1 }) : g.g.op('Sigmoid', [scores])),
    );
    expect(network.head.kind).toBe(kind);
    expect(network.outputChannels).toBe(channels);
    network.dispose();
  });

  it('that ends in several sigmoids has a background where none of them exceeds a half', async () => {
    const g = new OnnxGraphs(1);
    const x = g.relu(g.conv('image', 1, 4));
    const network = importOnnx(g.file(g.g.op('Sigmoid', [g.conv(x, 4, 3)])));
    expect(network).toMatchObject({ outputChannels: 3, head: { kind: 'sigmoid' } });
    const { smallest: side, halo } = network.geometry;
    const size = side + 16;
    const model = await FrozenModel.of(network, backend);
    for (const output of ['labels', 'both'] as const) {
      for (const symmetries of [false, true]) {
        const tested = await selfTest(oneAtATime(model), { output, symmetries, channels: 1 });
        expect(tested).toEqual({ exact: true, largestDifference: 0 });
      }
    }
    const tile = { data: noise(size * size, 3, 0, 1), count: 1, height: size, width: size, channels: 1 };
    const [labels, both] = [await model.predict(tile, 'labels'), await model.predict(tile, 'both')];
    expect(labels.length).toBe((size - halo.left - halo.right) ** 2);
    for (const [px, label] of labels.entries()) {
      const [background, ...classes] = both.subarray(px * 5, px * 5 + 4);
      expect(background).toBeCloseTo(1 - Math.max(...classes), 6);
      const greatest = classes.indexOf(Math.max(...classes));
      expect([label, both[px * 5 + 4]]).toEqual(
        classes[greatest]! > 0.5 ? [greatest + 1, greatest + 1] : [0, 0],
      );
    }
    expect(new Set(labels).size).toBeGreaterThan(2);
    model.dispose();
  });

  it('of a fixed size is a network for every size', () => {
    const g = new OnnxGraphs(2, [64, 64]);
    const network = importOnnx(g.file(g.resize(g.pool(g.conv('image', 2, 2)), 2, 'nearest', 'asymmetric')));
    expect(network).toMatchObject({ inputChannels: 2, geometry: { multiple: 2, halo: even(2) } });
    network.dispose();
  });

  it.each<[string, Attributes]>([
    ['no others', {}],
    ['more cut off behind', { auto_pad: 'SAME_UPPER' }],
    ['dilation and output padding', { dilations: [2, 2], output_padding: [1, 1] }],
  ])('has transposed convolutions that state the size of their output, and %s', async (_name, attributes) => {
    const g = new OnnxGraphs(1, [32, 32]);
    const up = g.g.op('ConvTranspose', [g.pool(g.conv('image', 1, 4)), g.weight([4, 2, 3, 3])], {
      strides: [2, 2],
      output_shape: [32, 32],
      ...attributes,
    });
    const file = g.file(up);
    const pixels = noise(32 * 32, 1, 0, 1);
    const network = importOnnx(file);
    const y = tf.tidy(() =>
      tf.transpose(network.result(tf.tensor(pixels, [1, 32, 32, 1]) as tf.Tensor4D), [0, 3, 1, 2]),
    );
    expect(difference([...(await y.data())], await computedBy(file, pixels, [32, 32]))).toBeLessThan(1e-5);
    y.dispose();
    network.dispose();
  });

  it('of images with one channel, which comes last, may begin and end with new shapes, as tf2onnx writes', async () => {
    const g = new OnnxGraphs(1);
    g.g.inputs[0] = { name: 'image', element: 'float32', dims: ['n', 'h', 'w', 1] };
    const added = g.g.op('Unsqueeze', ['image', g.g.ints([0])]);
    const x = g.conv(g.g.op('Reshape', [added, g.g.ints([-1, 1, 0, 0])]), 1, 1);
    const shaped = g.g.op('Reshape', [g.g.op('Sigmoid', [x]), g.g.ints([1, -1, 0, 0, 1])]);
    const network = importOnnx(g.file(g.g.op('Squeeze', [shaped, g.g.ints([0])])));
    expect(network).toMatchObject({ inputChannels: 1, outputChannels: 1, geometry: { halo: even(1) } });
    expect(network.head.kind).toBe('sigmoid');
    network.dispose();
  });

  it.each<[string, (number | string)[], number]>([
    ['open sides', ['n', 'h', 'w', 3], 3],
    ['fixed sides', [1, 96, 80, 2], 2],
  ])('of images of %s is scaled before its channels come first', (_name, dims, channels) => {
    const g = new OnnxGraphs(1);
    g.g.inputs[0] = { name: 'image', element: 'float32', dims };
    const scaled = g.g.op('Mul', ['image', g.g.initializer('float32', [], Float32Array.of(1 / 255))]);
    const network = importOnnx(
      g.file(g.conv(g.g.op('Transpose', [scaled], { perm: [0, 3, 1, 2] }), channels, 2)),
    );
    expect(network.inputChannels).toBe(channels);
    network.dispose();
  });

  it('of images whose channels come last begins with a Transpose', () => {
    const g = new OnnxGraphs(1);
    g.g.inputs[0] = { name: 'image', element: 'float32', dims: ['n', 'h', 'w', 5] };
    const network = importOnnx(g.file(g.conv(g.g.op('Transpose', ['image'], { perm: [0, 3, 1, 2] }), 5, 2)));
    expect(network.inputChannels).toBe(5);
    network.dispose();
  });
});

describe('a graph that cannot be exact is refused by the name of its node', () => {
  it.each<[string, (g: OnnxGraphs, x: string) => string, RegExp]>([
    [
      'instance normalisation',
      (g, x) => g.g.op('InstanceNormalization', [x, g.weight([4]), g.weight([4])]),
      /statistics of a tile/,
    ],
    [
      'squeeze-and-excitation',
      (g, x) => g.g.op('Mul', [x, g.g.op('Sigmoid', [g.g.op('GlobalAveragePool', [x])])]),
      /all px of a tile/,
    ],
    [
      'a mean over positions',
      (g, x) => g.g.op('Sub', [x, g.g.op('ReduceMean', [x, g.g.ints([2, 3])])]),
      /all px of a tile/,
    ],
    ['aligned corners', (g, x) => g.resize(g.pool(x), 2, 'linear', 'align_corners'), /aligns corners/],
    ['linear resizing by 3', (g, x) => g.resize(g.pool(x, 3), 3, 'linear'), /linearly by 3/],
    [
      'numbers for each position',
      (g, x) => g.g.op('Add', [x, g.g.initializer('float32', [1, 1, 64, 64], new Float32Array(64 * 64))]),
      /depend on the position/,
    ],
    [
      'a number that follows from the size of the image',
      (g, x) => {
        const size = g.g.op('Cast', [g.g.op('ReduceProd', [g.g.op('Shape', [x])], { keepdims: 0 })], {
          to: 1,
        });
        return g.g.op('Div', [x, size]);
      },
      /depends on the size of the image/,
    ],
    [
      'a number that follows from the size of large images',
      (g, x) => {
        const side = g.g.op('Gather', [g.g.op('Shape', [x]), g.g.ints([3])]);
        const less = g.g.op('Cast', [g.g.op('Less', [side, g.g.ints([1000])])], { to: 1 });
        return g.g.op('Mul', [x, less]);
      },
      /depends on the size of the image/,
    ],
    [
      'attention',
      (g, x) => g.g.op('Softmax', [g.g.op('Reshape', [x, g.g.ints([1, 4, -1])])], { axis: -1 }),
      /mixes positions/,
    ],
  ])('%s', (name, write, reason) => {
    const isOfAnySize = name.startsWith('a number that follows');
    const g = new OnnxGraphs(1, isOfAnySize ? ['h', 'w'] : [64, 64]);
    const file = g.file(write(g, g.conv('image', 1, 4)));
    expect(() => importOnnx(file)).toThrow(
      expect.objectContaining({ code: 'inexact-model', message: expect.stringMatching(reason) }),
    );
  });

  it('unless one tile size is accepted for it', async () => {
    const g = new OnnxGraphs(1);
    const x = g.conv('image', 1, 4);
    const squeezed = g.g.op('Mul', [x, g.g.op('Sigmoid', [g.g.op('GlobalAveragePool', [x])])]);
    const network = importOnnx(g.file(g.conv(squeezed, 4, 2, 1)), { approximateSide: 64 });
    expect(network.geometry).toEqual({
      halo: even(1),
      padded: even(1),
      multiple: 1,
      smallest: 64,
      tileable: false,
    });
    const model = await FrozenModel.of(network, backend);
    const tile = { data: noise(64 * 64, 1, 0, 1), count: 1, height: 64, width: 64, channels: 1 };
    expect((await model.predict(tile, 'labels')).length).toBe(62 * 62);
    model.dispose();
  });

  it('or a smaller halo than it would need, and values of groups', async () => {
    const g = new OnnxGraphs(1, [16, 16]);
    const x = g.conv('image', 1, 4, 15);
    const flat = g.g.op('Reshape', [x, g.g.ints([0, 2, -1])]);
    const normal = g.g.op('InstanceNormalization', [flat, g.weight([2], 1, 1), g.weight([2])]);
    const network = importOnnx(g.file(g.g.op('Reshape', [normal, g.g.op('Shape', [x])])), {
      approximateSide: 64,
    });
    expect(network.geometry).toMatchObject({ halo: even(4), smallest: 16, tileable: false });
    const model = await FrozenModel.of(network, backend);
    const tile = { data: noise(16 * 16, 1, 0, 1), count: 1, height: 16, width: 16, channels: 1 };
    expect((await model.predict(tile, 'labels')).length).toBe(8 * 8);
    model.dispose();
  });

  it.each<[string, (g: OnnxGraphs, x: string) => string, RegExp]>([
    [
      'an operator that is not known',
      (g, x) => g.g.op('Einsum', [x], { equation: 'nchw->nchw' }),
      /operators of type Einsum/,
    ],
    [
      'an average of px with gaps',
      (g, x) => g.g.op('AveragePool', [x], { kernel_shape: [2, 2], dilations: [2, 2] }),
      /averages px with gaps/,
    ],
    [
      'a shuffle of channels',
      (g, x) => {
        const groups = g.g.op('Reshape', [x, g.g.ints([1, 2, 2, 64, 64])]);
        const moved = g.g.op('Transpose', [groups], { perm: [0, 2, 1, 3, 4] });
        return g.g.op('Reshape', [moved, g.g.ints([1, 4, 64, 64])]);
      },
      /it rearranges what .* shuffles of channels/,
    ],
    [
      'an attribute that its operator does not have',
      (g, x) => g.g.op('Relu', [x], { threshold: { float: 2 } }),
      /\(Relu\).* its attribute "threshold" is not supported/,
    ],
    [
      'a kernel of another shape than its filter',
      (g, x) => g.g.op('Conv', [x, g.weight([4, 4, 3, 3])], { kernel_shape: [1, 1] }),
      /kernel_shape is \[1,1\]/,
    ],
    [
      'padding on one side and cropping on another',
      (g, x) => g.g.op('Pad', [x, g.g.ints([0, 0, 1, 0, 0, 0, -1, 0])]),
      /cuts px off at another/,
    ],
    [
      'resizing that keeps the aspect ratio',
      (g, x) => {
        const sizes = g.g.ints([1, 4, 128, 128]);
        return g.g.op('Resize', [x, '', '', sizes], { keep_aspect_ratio_policy: 'not_larger' });
      },
      /keep_aspect_ratio_policy is not_larger; only stretch/,
    ],
    [
      'resizing of a part',
      (g, x) => g.resize(x, 2, 'linear', 'tf_crop_and_resize'),
      /cuts out a part of the tile/,
    ],
    [
      'dropout as in training',
      (g, x) => g.g.op('Dropout', [x, '', g.g.initializer('bool', [], Uint8Array.of(1))]),
      /drops values at random/,
    ],
    [
      'channels that are not there',
      (g, x) => g.g.op('Gather', [x, g.g.ints([1, 4])], { axis: 1 }),
      /picks the channels \[1,4\] of 4/,
    ],
    [
      'parts that are not all channels',
      (g, x) => g.g.ops('Split', [x, g.g.ints([1, 2])], { axis: 1 }, 2)[0]!,
      /splits 4 channels into 2 parts of \[1,2\]/,
    ],
    [
      'weights that are computed',
      (g, x) => g.g.op('Conv', [x, x], { kernel_shape: [1, 1] }),
      /only constants/,
    ],
  ])('%s cannot be imported', (_name, write, reason) => {
    const g = new OnnxGraphs(1, [64, 64]);
    const file = g.file(write(g, g.conv('image', 1, 4)));
    expect(() => importOnnx(file)).toThrow(
      expect.objectContaining({ code: 'unsupported-node', message: expect.stringMatching(reason) }),
    );
  });
});
