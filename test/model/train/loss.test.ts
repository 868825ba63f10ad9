import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { LOSSES, type LossKind } from '../../../model/train/choices.js';
import { lossOf } from '../../../model/train/loss.js';
import { LossSum } from '../../../model/train/loss-sum.js';
import { difference, noise, onnxBesideCpu, valuesOn } from '../../support/oracle.js';

beforeAll(async () => {
  await onnxBesideCpu();
});

const [n, h, w] = [2, 3, 4];
const pixels = n * h * w;
const truthOf = (classes: number) => ({
  labels: Int32Array.from(noise(pixels, 2, 0, classes)),
  weights: Float32Array.from(noise(pixels, 3, -0.5, 10), (x) => Math.max(0, x)), // some pixels have no weight
});

function loss(kind: LossKind, logits: tf.Tensor4D, classes: number): tf.Scalar {
  const { labels, weights } = truthOf(classes);
  const truth = {
    labels: tf.tensor3d(labels, [n, h, w], 'int32'),
    weights: tf.tensor3d(weights, [n, h, w]),
  };
  return lossOf(kind, logits, truth);
}

/** Class probabilities of each pixel. */
function probabilities(logits: Float64Array, maps: number): number[][] {
  return Array.from({ length: pixels }, (_, i) => {
    if (maps === 1) {
      const second = 1 / (1 + Math.exp(-logits[i]!));
      return [1 - second, second];
    }
    const row = Array.from(logits.subarray(i * maps, (i + 1) * maps), Math.exp);
    return row.map((x) => x / row.reduce((a, b) => a + b));
  });
}

/** A float64 reference implementation from the definitions. */
function defined(kind: LossKind, logits: Float64Array, classes: number): number {
  const { labels, weights } = truthOf(classes);
  const maps = classes === 2 && logits.length === pixels ? 1 : classes;
  const p = probabilities(logits, maps);
  const all = weights.reduce((a, b) => a + b);
  const entropy = p.reduce((sum, row, i) => sum - weights[i]! * Math.log(row[labels[i]!]!), 0) / all;
  const sum = (of: (i: number) => number) => p.reduce((total, _, i) => total + weights[i]! * of(i), 0);
  const overlap = (c: number) => {
    const both = sum((i) => (labels[i] === c ? p[i]![c]! : 0));
    const either = sum((i) => p[i]![c]! + (labels[i] === c ? 1 : 0));
    return (2 * both + 1) / (either + 1);
  };
  const each = maps === 1 ? [overlap(1)] : Array.from({ length: classes }, (_, c) => overlap(c));
  const dice = 1 - each.reduce((a, b) => a + b) / each.length;
  return (kind === 'dice' ? 0 : entropy) + (kind === 'cross-entropy' ? 0 : dice);
}

const heads = [
  ['softmax of 3 classes', 3, 3],
  ['softmax of 2 classes', 2, 2],
  ['sigmoid', 1, 2],
] as const;

describe.each(heads)('%s', (_name, maps, classes) => {
  const values = noise(pixels * maps, 1, -4, 4);
  const onBackend = (kind: LossKind) => () => {
    const x = tf.tensor4d(values, [n, h, w, maps]);
    const of = (logits: tf.Tensor) => loss(kind, logits as tf.Tensor4D, classes);
    return [of(x), tf.grad(of)(x)];
  };

  it.each(LOSSES)('%s and its gradient match the definition', async (kind) => {
    const [cost, gradient] = await valuesOn('onnx', onBackend(kind));
    const at = Float64Array.from(values);
    expect(cost!.values[0]! / defined(kind, at, classes)).toBeCloseTo(1, 5);
    const step = 1e-5;
    const finite = Array.from(at, (x, i) => {
      const shifted = (by: number) => defined(kind, at.with(i, x + by), classes);
      return (shifted(step) - shifted(-step)) / (2 * step);
    });
    const largest = Math.max(...finite.map(Math.abs));
    for (const [i, g] of finite.entries()) {
      expect(Math.abs(gradient!.values[i]! - g) / largest).toBeLessThan(1e-4);
    }
  });

  it.each(LOSSES)('%s accumulated over chunks of probabilities equals that of one batch', (kind) => {
    const logits = Float64Array.from(values);
    const p = Float32Array.from(probabilities(logits, maps).flat());
    const { labels, weights } = truthOf(classes);
    const truth = Uint8Array.from(labels, (label, i) => (weights[i] === 0 ? 255 : label));
    const sum = new LossSum(kind, classes, maps === 1);
    for (const [from, to] of [
      [0, 5],
      [5, pixels],
    ] as const) {
      sum.add(p.subarray(from * classes, to * classes), truth.subarray(from, to), weights.subarray(from, to));
    }
    expect(sum.value).toBeCloseTo(defined(kind, logits, classes), 5);
  });

  it.each(LOSSES)('%s agrees with the cpu backend', async (kind) => {
    const expected = await valuesOn('cpu', onBackend(kind));
    const actual = await valuesOn('onnx', onBackend(kind));
    for (const [i, { values: theirs }] of expected.entries()) {
      const largest = Math.max(...theirs.map(Math.abs));
      expect(
        difference(
          theirs.map((x) => x / largest),
          actual[i]!.values.map((x) => x / largest),
        ),
      ).toBeLessThan(1e-4);
    }
  });
});

describe('extreme logits and weights', () => {
  it.each(heads)(
    '%s stays finite for certain predictions, and is 0 when no pixel has weight',
    async (_name, maps, classes) => {
      const of = (weight: number) => () => {
        const logits = tf.mul(tf.tensor4d(noise(pixels * maps, 1), [n, h, w, maps]), 1e4) as tf.Tensor4D;
        const labels = tf.tensor3d(truthOf(classes).labels, [n, h, w], 'int32');
        return tf.grad((x) =>
          lossOf('cross-entropy', x as tf.Tensor4D, { labels, weights: tf.fill([n, h, w], weight) }),
        )(logits);
      };
      const [certain] = await valuesOn('onnx', of(1));
      expect(certain!.values.every(Number.isFinite)).toBe(true);
      const [uncounted] = await valuesOn('onnx', of(0));
      expect(uncounted!.values.every((x) => x === 0)).toBe(true);
    },
  );
});
