import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { beforeAll, expect, it } from 'vitest';
import { importOnnx } from '../../../model/imported/import-onnx.js';
import { type Card, cardSchema } from '../../../model/shelf/card.js';
import { loadCheckpoint, saveCheckpoint } from '../../../model/shelf/checkpoint.js';
import { testFolder } from '../../support/files.js';
import { OnnxGraphs } from '../../support/onnx-graphs.js';
import { onnxBesideCpu } from '../../support/oracle.js';
import { MODELS } from '../../support/product.js';

beforeAll(async () => {
  await onnxBesideCpu();
});

it('an unusable checkpoint leaks no tensor', async () => {
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

it('a checkpoint with quantised weights is dequantised when loaded', async () => {
  const source = join(MODELS, 'shapes', '1');
  const folder = await testFolder();
  const model = JSON.parse(await readFile(join(source, 'model.json'), 'utf8'));
  let length = 0;
  for (const weight of model.weightsManifest[0].weights) {
    weight.quantization = { dtype: 'uint8', scale: 0.25, min: -1 };
    length += tf.util.sizeFromShape(weight.shape);
  }
  const weights = Buffer.alloc(length, 6);
  const card = JSON.parse(await readFile(join(source, 'card.json'), 'utf8'));
  card.weights.sha256 = createHash('sha256').update(weights).digest('hex');
  await writeFile(join(folder, 'model.json'), JSON.stringify(model));
  await writeFile(join(folder, 'card.json'), JSON.stringify(card));
  await writeFile(join(folder, 'weights.bin'), weights);
  const loaded = await loadCheckpoint(folder);
  expect(new Set(await loaded.network.weights[0]!.data())).toEqual(new Set([0.5]));
  loaded.network.dispose();
});

it('an imported graph is a checkpoint, verified against its card', async () => {
  const folder = await testFolder();
  const g = new OnnxGraphs(2, [64, 64]);
  const file = g.file(g.conv('image', 2, 3));
  const { geometry, ...rest } = importOnnx(file);
  tf.dispose([...rest.weights]);
  const source = JSON.parse(await readFile(join(MODELS, 'shapes', '1', 'card.json'), 'utf8'));
  const sha256 = createHash('sha256').update(file).digest('hex');
  const card = {
    ...source,
    form: 3,
    architecture: { kind: 'onnx', parameters: 2 * 3 * 9 + 3, features: 3, ...geometry },
    inputChannels: 2,
    classes: ['a', 'b', 'c'].map((name) => ({ name, colour: null })),
    postprocessing: [{ step: 'softmax' }],
    weights: { sha256, bytes: file.length },
  };
  const write = (changed: object) =>
    writeFile(join(folder, 'card.json'), JSON.stringify({ ...card, ...changed }));
  await writeFile(join(folder, 'model.onnx'), file);
  await write({});
  const before = tf.memory().numTensors;
  const { network, digest } = await loadCheckpoint(folder);
  expect(network).toMatchObject({ geometry, layers: null, head: { kind: 'softmax' } });
  network.dispose();
  await write({ postprocessing: [] });
  const other = await loadCheckpoint(folder);
  expect(other.network.head.kind).toBe('probabilities');
  expect(other.digest).not.toBe(digest);
  other.network.dispose();
  await write({ architecture: { ...card.architecture, halo: { top: 0, left: 0, bottom: 0, right: 0 } } });
  await expect(loadCheckpoint(folder)).rejects.toMatchObject({
    code: 'bad-checkpoint',
    message: expect.stringContaining('it states halo'),
  });
  expect(tf.memory().numTensors).toBe(before);
  await write({ weights: { sha256: 'another', bytes: 1 } });
  await expect(loadCheckpoint(folder)).rejects.toMatchObject({ code: 'bad-checkpoint' });
});
