import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OnnxBackend } from '../../../model/onnx/backend.js';
import { findBlock } from '../../../model/onnx/blocked.js';
import { ONNX_NODE } from '../../../model/onnx/kernels/node-attrs.js';
import { kernels } from '../../../model/onnx/register.js';
import { cases, compute, f } from '../../support/kernel-cases.js';
import { difference, onnxBesideCpu, valuesOn } from '../../support/oracle.js';

let backend: OnnxBackend;
const reached = new Set<string>();
type T4 = tf.Tensor4D;

beforeAll(async () => {
  backend = await onnxBesideCpu();
});
afterAll(() => backend.close());

describe('every kernel agrees with the cpu backend, values and gradients', () => {
  it.each(cases)('%s', async (...each) => {
    const run = () => compute(each);
    const expected = await valuesOn('cpu', run);
    const actual = await valuesOn('onnx', () => watched(run));
    expect(actual.map(({ shape, dtype }) => ({ shape, dtype }))).toEqual(
      expected.map(({ shape, dtype }) => ({ shape, dtype })),
    );
    for (const [i, { values }] of expected.entries()) {
      expect(difference(values, actual[i]!.values), `tensor ${i}`).toBeLessThan(2e-5);
    }
  });

  it('covers every kernel of the backend', () => {
    const untested = kernels
      .map(({ name }) => name)
      .filter((name) => !reached.has(name) && name !== 'FusedConv2D' && name !== ONNX_NODE); // below, and with imported graphs
    expect(untested).toEqual([]);
  });
});

/** Runs a computation and records in `reached` which kernels it invoked. */
function watched<R>(run: () => R): R {
  const engine = tf.engine() as unknown as { runKernel: (name: string, ...rest: unknown[]) => unknown };
  const original = engine.runKernel;
  engine.runKernel = (name, ...rest) => {
    reached.add(name);
    return original.call(engine, name, ...rest);
  };
  try {
    return run();
  } finally {
    engine.runKernel = original;
  }
}

describe('fused convolution', () => {
  it.each(['linear', 'relu', 'sigmoid'] as const)('with bias and %s', async (activation) => {
    const run = () =>
      tf.fused.conv2d({
        x: f([2, 6, 7, 3]) as T4,
        filter: f([3, 3, 3, 4], 2) as T4,
        strides: 1,
        pad: 'valid',
        bias: f([4], 3),
        activation,
      });
    const [expected] = await valuesOn('cpu', run);
    const [actual] = await valuesOn('onnx', run);
    expect(difference(expected!.values, actual!.values)).toBeLessThan(2e-5);
  });
});

describe('blocks of channels', () => {
  it('are detected on this machine, so that the cases above cover them, or unavailable', async () => {
    expect([16, 8, null]).toContain(await findBlock('cpu', 1));
    expect(await findBlock('webgpu', 1)).toBe(null);
  });
});

describe('an unsupported operation fails with an error that names the kernel', () => {
  beforeAll(() => tf.setBackend('onnx'));
  const image = () => f([1, 6, 6, 2]) as T4;

  it.each<[RegExp, () => unknown]>([
    [/Complex/, () => tf.complex(f([4]), f([4], 2))],
    [/Conv2D: dataFormat NCHW/, () => tf.conv2d(image(), f([3, 3, 6, 2]) as T4, 1, 'valid', 'NCHW')],
    [
      /FusedConv2D: activation "leakyrelu"/,
      () =>
        tf.fused.conv2d({
          x: image(),
          filter: f([1, 1, 2, 2]) as T4,
          strides: 1,
          pad: 0,
          activation: 'leakyrelu',
        }),
    ],
    [
      /MaxPoolGrad: windows that overlap/,
      () => tf.grad((x) => tf.sum(tf.maxPool(x as T4, 3, 1, 'valid')))(image()),
    ],
    [
      /AvgPoolGrad: windows that overlap/,
      () => tf.grad((x) => tf.sum(tf.avgPool(x as T4, 3, 1, 'valid')))(image()),
    ],
    [/GatherV2: batchDims/, () => tf.gather(f([2, 3]), tf.tensor2d([[0], [1]], [2, 1], 'int32'), 1, 1)],
    [/tensors of string/, () => tf.tensor(['a'])],
  ])('%s', (message, run) => {
    expect(() => tf.tidy(() => void run())).toThrow(message);
  });

  it('a synchronous read of a pending result', () => {
    tf.tidy(() => {
      expect(() => tf.relu(f([3])).dataSync()).toThrow(/await/);
    });
  });
});
