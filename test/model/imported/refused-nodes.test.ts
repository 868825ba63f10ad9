import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { importOnnx } from '../../../model/imported/import-onnx.js';
import { FrozenModel } from '../../../model/network/frozen.js';
import type { OnnxBackend } from '../../../model/onnx/backend.js';
import { OnnxGraphs } from '../../support/onnx-graphs.js';
import { noise, onnxBesideCpu } from '../../support/oracle.js';
import { even } from '../../support/rasters.js';

let backend: OnnxBackend;
beforeAll(async () => {
  backend = await onnxBesideCpu();
  await tf.setBackend('onnx');
});
afterAll(() => backend.close());

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
      'halves of px',
      (g, x) => {
        const half = g.g.initializer('float32', [1], Float32Array.of(0.5));
        return g.g.op('Slice', [x, half, g.g.ints([9]), g.g.ints([2])]);
      },
      /its bounds are not known/,
    ],
    [
      'a map that is laid side by side with itself',
      (g, x) => g.g.op('Tile', [x, g.g.ints([1, 1, 2, 1])]),
      /only px of its rows and columns may be repeated/,
    ],
    [
      'copies that are not side by side',
      (g, x) => {
        const copies = g.g.op('Tile', [g.g.op('Unsqueeze', [x, g.g.ints([3])]), g.g.ints([1, 1, 1, 2, 1])]);
        const moved = g.g.op('Transpose', [copies], { perm: [0, 1, 3, 2, 4] });
        return g.g.op('Reshape', [moved, g.g.ints([1, 4, 128, 64])]);
      },
      /otherwise than side by side/,
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
