import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { selfTest } from '../../../model/exactness/self-test.js';
import { importOnnx } from '../../../model/imported/import-onnx.js';
import { FrozenModel } from '../../../model/network/frozen.js';
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

describe('an ONNX graph', () => {
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
    expect(network.geometry).toMatchObject({ halo: even(3), padded: even(2), multiple: 2 });
    expect(network.reach).toEqual(even(2));
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

  it.each([
    ['as many classes as sigmoids', false, 3],
    ['a comparison behind them', true, undefined],
  ])('that ends in several sigmoids with %s has the background among them', (_name, isCompared, classes) => {
    const g = new OnnxGraphs(1);
    const sigmoids = g.g.op('Sigmoid', [g.conv('image', 1, 3)]);
    const output = isCompared ? g.g.op('ArgMax', [sigmoids], { axis: 1 }) : sigmoids;
    const network = importOnnx(g.file(output), classes === undefined ? {} : { classes });
    expect(network).toMatchObject({ outputChannels: 3, head: { kind: 'probabilities' } });
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
