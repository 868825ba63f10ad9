import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import type { TestedNetwork } from '../../model/exactness/self-test.js';
import type { FrozenModel } from '../../model/network/frozen.js';
import type { OnnxBackend } from '../../model/onnx/backend.js';
import { useOnnxBackend } from '../../model/onnx/register.js';
import { Random } from '../../model/train/random.js';

tf.env().set('IS_TEST', true);

/** The `onnx` backend, registered alongside the `cpu` backend of tfjs, which is the oracle. */
export function onnxBesideCpu(): Promise<OnnxBackend> {
  return useOnnxBackend({ provider: 'cpu', threads: 1, maxSessions: 64 });
}

/** A network as an engine calls it: one batch at a time, so that each is a graph of its own. */
export function oneAtATime(model: FrozenModel): TestedNetwork {
  let last: Promise<unknown> = Promise.resolve();
  return {
    geometry: model.geometry,
    predict(batch, output, symmetries) {
      const result = last.then(() => model.predict(batch, output, symmetries));
      last = result.catch(() => undefined);
      return result;
    },
  };
}

/** Runs a computation on one backend and returns the values of its tensors. */
export async function valuesOn(
  backend: 'cpu' | 'onnx' | 'tensorflow',
  compute: () => tf.Tensor | tf.Tensor[],
): Promise<{ shape: number[]; dtype: string; values: number[] }[]> {
  await tf.setBackend(backend);
  const result = tf.tidy(compute);
  const tensors = Array.isArray(result) ? result : [result];
  try {
    const values = [];
    for (const t of tensors)
      values.push({ shape: t.shape, dtype: t.dtype, values: Array.from(await t.data()) });
    return values;
  } finally {
    tf.dispose(tensors);
  }
}

/** The largest difference of two arrays, relative to the largest magnitude in them (at least 1). */
export function difference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  const scale = a.reduce((largest, x) => Math.max(largest, Math.abs(x)), 1);
  let worst = 0;
  for (const [i, x] of a.entries()) {
    if (Object.is(x, b[i]) || (Number.isNaN(x) && Number.isNaN(b[i]))) continue;
    const d = Math.abs(x - b[i]!) / scale;
    if (!(d <= worst)) worst = Number.isNaN(d) ? Number.POSITIVE_INFINITY : d;
  }
  return worst;
}

/** Reproducible values in [low, high). */
export function noise(count: number, seed = 1, low = -1, high = 1): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => random.between(low, high));
}
