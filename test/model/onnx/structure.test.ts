import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OnnxBackend } from '../../../model/onnx/backend.js';
import type { Operator, ShapeBoundOperator } from '../../../model/onnx/operator.js';
import { noise, onnxBesideCpu } from '../../support/oracle.js';

let backend: OnnxBackend;
beforeAll(async () => {
  backend = await onnxBesideCpu();
  await tf.setBackend('onnx');
});
afterAll(() => backend.close());

/** The result of a computation, and the number of graphs compiled for it. */
async function run(compute: () => tf.Tensor): Promise<{ tensor: tf.Tensor; compiled: number }> {
  const before = backend.stats.compiled;
  const tensor = tf.tidy(compute);
  await tensor.data();
  return { tensor, compiled: backend.stats.compiled - before };
}

describe('a compiled graph', () => {
  const relu = () => tf.relu(tf.tensor(noise(6), [2, 3]));

  it('is shared by computations of the same structure', async () => {
    expect((await run(relu)).compiled).toBe(1);
    expect((await run(relu)).compiled).toBe(0);
  });

  it('serves every tile shape when its weights are frozen', async () => {
    const filter = tf.tensor4d(noise(9 * 16), [3, 3, 1, 16]);
    await backend.freeze([filter]);
    const convolve = (shape: [number, number, number, number]) => () =>
      tf.relu(tf.conv2d(tf.tensor4d(noise(tf.util.sizeFromShape(shape)), shape), filter, 1, 'valid'));
    expect((await run(convolve([1, 6, 7, 1]))).compiled).toBe(1);
    const { tensor, compiled } = await run(convolve([3, 9, 5, 1]));
    expect(tensor.shape).toEqual([3, 7, 3, 16]);
    expect(compiled).toBe(0);
  });

  it('is not shared where an operator depends on another size of its output', async () => {
    const gradient = (side: number) => () => {
      const pool = (x: tf.Tensor) => tf.avgPool(x as tf.Tensor4D, 2, 2, 'valid');
      return tf.grad(pool)(tf.ones([1, side, side, 1]));
    };
    // both have an output of 3 × 3 px; no window covers the last row and column of 7 × 7 px
    expect(await (await run(gradient(6))).tensor.data()).toEqual(new Float32Array(36).fill(0.25));
    const last = await (await run(gradient(7))).tensor.data();
    expect(last).toHaveLength(49);
    expect(last.slice(42)).toEqual(new Float32Array(7));
  });

  it('is not shared between attributes that JSON does not distinguish', async () => {
    const pad = (value: number) => () => tf.pad1d(tf.tensor1d([1, 2]), [0, 1], value);
    for (const value of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 0, -0]) {
      expect(await (await run(pad(value))).tensor.data()).toEqual(Float32Array.of(1, 2, value));
    }
  });

  it('is not shared between output types', async () => {
    const oneHot = (dtype: 'float32' | 'int32') => () =>
      tf.oneHot(tf.tensor1d([1, 0], 'int32'), 2, 1, 0, dtype);
    expect(await (await run(oneHot('int32'))).tensor.data()).toBeInstanceOf(Int32Array);
    expect(await (await run(oneHot('float32'))).tensor.data()).toBeInstanceOf(Float32Array);
  });
});

it('shapes are visible only to operators that declare a dependency on them', () => {
  const blind: Operator<{ readonly factor: number }> = {
    name: 'Blind',
    emit(_graph, [x], attributes, output) {
      // @ts-expect-error no shape of an input
      void x.shape;
      // @ts-expect-error nor of the output
      void output.shape;
      // @ts-expect-error no undeclared attribute
      void attributes.size;
      return output.value(x.plain);
    },
  };
  const bound: ShapeBoundOperator = {
    name: 'Bound',
    shapeBound: true,
    emit: (g, [x], _attributes, output, shapes) =>
      output.value(g.op('Reshape', [x.plain, g.ints(shapes.inputs[0])])),
  };
  // @ts-expect-error an operator that reads shapes must declare it
  const undeclared: Operator = { name: 'Undeclared', emit: bound.emit };
  expect([blind, bound, undeclared].map((operator) => operator.shapeBound ?? false)).toEqual([
    false,
    true,
    false,
  ]);
});
