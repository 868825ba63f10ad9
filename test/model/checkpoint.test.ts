import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { beforeAll, expect, it } from 'vitest';
import { type Card, cardSchema } from '../../model/card.js';
import { loadCheckpoint, saveCheckpoint } from '../../model/checkpoint.js';
import { testFolder } from '../support/files.js';
import { onnxBesideCpu } from '../support/oracle.js';
import { MODELS } from '../support/product.js';

beforeAll(async () => {
  await onnxBesideCpu();
});

it('a checkpoint that cannot be used leaves no tensor behind', async () => {
  const text = await readFile(join(MODELS, 'shapes', '1', 'card.json'), 'utf8');
  const card: Card = cardSchema.parse(JSON.parse(text));
  const [other, strided] = [join(await testFolder(), 'other'), join(await testFolder(), 'strided')];
  for (const [folder, strides] of [
    [other, 1],
    [strided, 2],
  ] as const) {
    const x = tfl.input({ shape: [null, null, 1] });
    const y = tfl.layers.conv2d({ filters: 3, kernelSize: 3, strides }).apply(x) as tfl.SymbolicTensor;
    const model = tfl.model({ inputs: x, outputs: y });
    await saveCheckpoint(folder, model, card);
    model.dispose();
  }
  const before = tf.memory().numTensors;
  await expect(loadCheckpoint(other)).rejects.toMatchObject({ code: 'bad-checkpoint' });
  await expect(loadCheckpoint(strided)).rejects.toMatchObject({ code: 'inexact-model' });
  expect(tf.memory().numTensors).toBe(before);
});
