import * as tf from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { useOnnxBackend } from '../../../model/onnx/register.js';

it('every thread flushes denormals to zero, so that results are identical on all threads', async () => {
  await useOnnxBackend({ provider: 'cpu', threads: 2, maxSessions: 4 });
  const product = tf.tidy(() => {
    const small = tf.fill([1 << 20], 1e-20);
    return tf.mul(small, tf.mul(small, 1));
  });
  const values = await product.data();
  product.dispose();
  expect(values.findIndex((value) => value !== 0)).toBe(-1);
});
