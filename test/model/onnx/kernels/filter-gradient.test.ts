import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { difference, noise, onnxBesideCpu } from '../../../support/oracle.js';

beforeAll(async () => {
  await onnxBesideCpu();
  await tf.setBackend('onnx');
});

interface Sizes {
  readonly batch?: number;
  readonly height: number;
  readonly width: number;
  readonly channels: readonly [inChannels: number, outChannels: number];
  readonly k: number;
}

/** Images in [-1, 1), and the gradients of their valid convolutions by `k`² taps. */
function images({ batch = 1, height, width, channels: [i, o], k }: Sizes) {
  const outShape = [batch, height - k + 1, width - k + 1, o] as const;
  const x = noise(batch * height * width * i, 1);
  const dy = noise(outShape[0] * outShape[1] * outShape[2] * o, 2);
  return { x, dy, outShape };
}

/** The definition, in 64 bits. */
function defined(sizes: Sizes): number[] {
  const { height, width, k } = sizes;
  const [i, o] = sizes.channels;
  const { x, dy, outShape } = images(sizes);
  const sums = new Float64Array(k * k * i * o);
  const [batch, rows, columns] = outShape;
  for (let n = 0; n < batch; n++) {
    for (let tap = 0; tap < k * k; tap++) {
      for (let at = 0; at < rows * columns; at++) {
        const row = Math.floor(at / columns) + Math.floor(tap / k);
        const pixel = ((n * height + row) * width + (at % columns) + (tap % k)) * i;
        for (let c = 0; c < i; c++) {
          for (let d = 0; d < o; d++) {
            sums[(tap * i + c) * o + d]! += x[pixel + c]! * dy[(n * rows * columns + at) * o + d]!;
          }
        }
      }
    }
  }
  return Array.from(sums);
}

/** What the backend computes, of an image and a gradient that exist in blocks where these divide their channels. */
async function computed(sizes: Sizes): Promise<number[]> {
  const { height, width, k } = sizes;
  const [i, o] = sizes.channels;
  const { x, dy, outShape } = images(sizes);
  const filter = tf.variable(tf.zeros<tf.Rank.R4>([k, k, i, o]), true, 'filter');
  const [gradient] = tf.tidy(() => {
    const image = tf.tensor4d(x, [outShape[0], height, width, i]);
    const loss = () =>
      tf.sum(tf.mul(tf.conv2d(image, filter, 1, 'valid'), tf.tensor4d(dy, [...outShape]))) as tf.Scalar;
    return Object.values(tf.variableGrads(loss, [filter]).grads);
  });
  const values = Array.from(await gradient!.data());
  tf.dispose([filter, gradient!]);
  return values;
}

describe('the gradient of a filter', () => {
  it.each<[string, Sizes]>([
    ['of an image that is one piece', { height: 12, width: 9, channels: [32, 16], k: 3 }],
    ['in pieces that divide its rows', { height: 258, width: 130, channels: [16, 16], k: 3 }],
    ['in pieces with further rows', { height: 66, width: 66, channels: [16, 64], k: 2 }],
    ['in pieces of several blocks', { height: 66, width: 67, channels: [32, 96], k: 3 }],
    ['of a batch in pieces', { batch: 3, height: 66, width: 66, channels: [16, 64], k: 2 }],
    ['of a batch that fills no blocks', { batch: 17, height: 7, width: 8, channels: [32, 16], k: 3 }],
    ['of a large batch', { batch: 32, height: 6, width: 6, channels: [3, 32], k: 3 }],
    ['of an image of one channel, in pieces', { height: 67, width: 68, channels: [1, 64], k: 3 }],
    ['by a pointwise convolution to a few channels', { height: 20, width: 30, channels: [32, 2], k: 1 }],
    ['by another to a few channels', { height: 20, width: 30, channels: [16, 2], k: 2 }],
  ])('%s', async (_name, sizes) => {
    expect(difference(defined(sizes), await computed(sizes))).toBeLessThan(1e-5);
  });
});
