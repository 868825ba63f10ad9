import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { OnnxBackend } from '../../../model/onnx/backend.js';
import { difference, noise, onnxBesideCpu, valuesOn } from '../../support/oracle.js';

type T4 = tf.Tensor4D;

/** Multiples of every block length that ONNX Runtime uses. */
const [C, D] = [16, 32];
const SHAPES = {
  gray: [3, 3, 1, C],
  colour: [3, 3, 3, C],
  same: [3, 3, C, C],
  wider: [3, 3, C, D],
  narrower: [3, 3, D, C],
  three: [3, 3, C + D, C],
  five: [5, 5, D, C],
  pointwise: [1, 1, D, C],
  even: [2, 2, D, C],
  odd: [3, 3, C + 8, C],
  logits: [1, 1, C, 3],
  up: [2, 2, C, D],
  upwards: [2, 2, C, C],
  bias: [C],
  other: [C],
  mean: [C],
  variance: [C],
} as const;
type Weights = Readonly<Record<keyof typeof SHAPES, tf.Tensor>>;

const conv = (x: tf.Tensor, filter: tf.Tensor, pad: 'valid' | 'same' = 'valid') =>
  tf.conv2d(x as T4, filter as T4, 1, pad);
const up = (x: tf.Tensor, filter: tf.Tensor) => {
  const [n, h, w] = x.shape as [number, number, number];
  return tf.conv2dTranspose(x as T4, filter as T4, [n, 2 * h, 2 * w, filter.shape[2]!], 2, 'valid');
};
const biased = (x: tf.Tensor, bias: tf.Tensor) => tf.add(x, tf.reshape(bias, [1, 1, 1, -1]));
const crop = (x: tf.Tensor, px: number) => {
  const [n, h, w, c] = x.shape as [number, number, number, number];
  return tf.slice(x, [0, px, px, 0], [n, h - 2 * px, w - 2 * px, c]);
};

/** What a frozen network may compute of an image `[2, 14, 12, channels]`. */
const CASES: Record<string, (w: Weights, gray: tf.Tensor, colour: tf.Tensor) => tf.Tensor> = {
  'a chain of convolutions and pooling': (w, x) =>
    tf.maxPool(tf.relu(conv(tf.relu(biased(conv(x, w.gray), w.bias)), w.same)) as T4, 2, 2, 'valid'),
  'a convolution of colours': (w, _x, colour) => conv(tf.relu(conv(colour, w.colour)), w.same),
  'fewer outputs than a block': (w, x) => tf.softmax(conv(tf.relu(conv(x, w.gray)), w.logits)),
  'a ReLU and what it was computed from': (w, x) => {
    const y = conv(x, w.gray);
    return tf.sub(tf.relu(y), y);
  },
  'batch normalisation before a ReLU, and behind one': (w, x) => {
    const norms = (y: tf.Tensor) =>
      tf.batchNorm(
        y as T4,
        w.mean as tf.Tensor1D,
        tf.abs(w.variance) as tf.Tensor1D,
        w.bias as tf.Tensor1D,
        w.other as tf.Tensor1D,
      );
    return norms(conv(tf.relu(norms(biased(conv(x, w.gray), w.other))), w.same));
  },
  'a crop of an image in blocks': (w, x) => crop(conv(x, w.gray), 2),
  'an up-convolution alone, with a bias or without': (w, x) => {
    const small = conv(conv(x, w.gray), w.wider);
    return tf.concat([up(small, w.up), biased(up(small, w.up), w.bias)], 3);
  },
  'a concatenation with an up-convolution, convolved': (w, x) => {
    const skip = conv(x, w.gray);
    const below = tf.relu(conv(tf.maxPool(skip as T4, 2, 2, 'valid'), w.wider));
    return tf.relu(
      biased(conv(tf.concat([crop(skip, 2), biased(up(below, w.up), w.bias)], 3), w.narrower), w.other),
    );
  },
  'the same with padding, or a filter that does not fit its blocks': (w, x) => {
    const skip = conv(x, w.gray);
    const below = conv(tf.maxPool(skip as T4, 2, 2, 'valid'), w.wider);
    const joined = tf.concat([crop(skip, 2), biased(up(below, w.up), w.bias)], 3);
    return tf.add(
      conv(joined, w.narrower, 'same'),
      tf.pad(conv(joined, w.even), [
        [0, 0],
        [0, 1],
        [0, 1],
        [0, 0],
      ]),
    );
  },
  'filters of five and of one pixel': (w, x) => {
    const skip = conv(x, w.gray);
    const below = conv(tf.maxPool(skip as T4, 2, 2, 'valid'), w.wider);
    const joined = tf.concat([biased(up(below, w.up), w.bias), crop(skip, 2)], 3);
    return tf.add(crop(conv(joined, w.pointwise), 2), conv(joined, w.five));
  },
  'two up-convolutions': (w, x) => {
    const below = conv(x, w.gray);
    return conv(tf.concat([up(below, w.upwards), biased(up(below, w.upwards), w.bias)], 3), w.narrower);
  },
  'a concatenation of three': (w, x) => {
    const y = conv(x, w.gray);
    return conv(tf.concat([y, conv(y, w.wider, 'same')], 3), w.three);
  },
  'a concatenation with less than a block': (w, x) => {
    const y = conv(x, w.gray);
    return conv(tf.concat([y, tf.slice(y, [0, 0, 0, 3], [-1, -1, -1, 8])], 3), w.odd);
  },
  'a concatenation that is read as it is': (w, x) => {
    const y = conv(x, w.gray);
    const joined = tf.concat([y, tf.relu(y)], 3);
    return tf.mean(tf.concat([joined, tf.square(joined)], 3), 3);
  },
  'pixels that are doubled': (w, x) => {
    const y = conv(x, w.gray);
    const [, height, width] = y.shape as [number, number, number, number];
    return conv(tf.image.resizeNearestNeighbor(y as T4, [2 * height, 2 * width]), w.same);
  },
};

/** What only a network in training computes. */
const TRAINED: typeof CASES = {
  'pooling of pixels that tie': (w, x) =>
    conv(tf.maxPool(tf.relu(conv(tf.onesLike(x), w.gray)) as T4, 2, 2, 'valid'), w.same),
  'pooling in windows of three': (w, x) => conv(tf.maxPool(conv(x, w.gray) as T4, 3, 3, 'valid'), w.same),
  'pooling that leaves a row over': (w, x) =>
    tf.maxPool(conv(conv(x, w.gray), tf.slice(w.even, [0, 0, 0, 0], [2, 2, C, C])) as T4, 2, 2, 'valid'),
  'a ReLU that two read': (w, x) => {
    const y = tf.relu(conv(x, w.gray));
    return tf.add(conv(y, w.same, 'same'), tf.mul(y, w.bias));
  },
  'a crop of a concatenation': (w, x) => {
    const y = conv(x, w.gray);
    const joined = tf.concat([conv(y, w.same, 'same'), conv(y, w.wider, 'same')], 3);
    return conv(crop(joined, 3), w.three);
  },
};

const gradientsOf = (compute: (typeof CASES)[string], w: Weights, gray: tf.Tensor, colour: tf.Tensor) => {
  const loss = () => {
    const y = compute(w, gray, colour);
    return tf.sum(tf.mul(y, tf.tensor(noise(y.size, 7), y.shape))) as tf.Scalar;
  };
  const { value, grads } = tf.variableGrads(loss, Object.values(w) as tf.Variable[]);
  return [value, ...Object.keys(SHAPES).flatMap((key) => grads[key] ?? [])];
};

let backend: OnnxBackend;
beforeAll(async () => {
  backend = await onnxBesideCpu();
});
afterAll(() => backend.close());

it.each(Object.entries(CASES))('%s: agrees with the cpu backend', async (_name, compute) => {
  const on = async (name: 'cpu' | 'onnx') => {
    await tf.setBackend(name);
    const weights = Object.fromEntries(
      Object.entries(SHAPES).map(([key, shape], i) => {
        const size = tf.util.sizeFromShape([...shape]);
        return [key, tf.tensor(noise(size, i + 1, -0.3, 0.5), [...shape])];
      }),
    ) as Record<keyof typeof SHAPES, tf.Tensor>;
    if (name === 'onnx') await backend.freeze(Object.values(weights));
    const image = (channels: number) => tf.tensor4d(noise(2 * 14 * 12 * channels, 99), [2, 14, 12, channels]);
    const values = await valuesOn(name, () => compute(weights, image(1), image(3)));
    tf.dispose(weights);
    return values[0]!;
  };
  const [expected, found] = [await on('cpu'), await on('onnx')];
  expect(found.shape).toEqual(expected.shape);
  expect(difference(expected.values, found.values)).toBeLessThan(2e-6);
});

it.each(Object.entries({ ...CASES, ...TRAINED }))(
  '%s: has the gradients of the cpu backend',
  async (_name, compute) => {
    const on = async (name: 'cpu' | 'onnx') => {
      await tf.setBackend(name);
      const weights = tf.tidy(() =>
        Object.fromEntries(
          Object.entries(SHAPES).map(([key, shape], i) => {
            const values = tf.tensor(noise(tf.util.sizeFromShape([...shape]), i + 1, -0.3, 0.5), [...shape]);
            return [key, tf.variable(values, true, key)];
          }),
        ),
      ) as unknown as Weights;
      // TensorFlow.js undoes the doubling of a batch wrongly
      const batch = compute === CASES['pixels that are doubled'] ? 1 : 2;
      const image = (channels: number) =>
        tf.tensor4d(noise(batch * 14 * 12 * channels, 99), [batch, 14, 12, channels]);
      const values = await valuesOn(name, () => gradientsOf(compute, weights, image(1), image(3)));
      tf.dispose(weights as tf.NamedTensorMap);
      return values;
    };
    const [expected, actual] = [await on('cpu'), await on('onnx')];
    expect(actual.map(({ shape }) => shape)).toEqual(expected.map(({ shape }) => shape));
    for (const [i, { values }] of expected.entries()) {
      expect(difference(values, actual[i]!.values), `tensor ${i}`).toBeLessThan(2e-5);
    }
  },
);
