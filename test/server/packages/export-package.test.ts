import { appendFile, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import '@tensorflow/tfjs-backend-cpu';

import tf = require('@tensorflow/tfjs-core');
import tfl = require('@tensorflow/tfjs-layers');

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { Engine } from '../../../model/engine/engine.js';
import { INPUT, OUTPUT } from '../../../model/exchange/mirrored-graph.js';
import { parseNpy } from '../../../model/exchange/npy.js';
import { runModel } from '../../../model/onnx/run-model.js';
import { ModelShelf } from '../../../model/shelf/shelf.js';
import { exportPackage, type PackageRequest } from '../../../server/packages/export-package.js';
import { importNetwork } from '../../../server/packages/import-network.js';
import { readImportSource } from '../../../server/packages/import-source.js';
import { openArchive, type PackageFiles } from '../../../server/packages/package-files.js';
import { predictWholeImage } from '../../../server/packages/whole-image.js';
import { testFolder } from '../../support/files.js';
import { writeUntrained } from '../../support/untrained.js';

const dir = await testFolder();
tf.env().set('IS_TEST', true);
const models = join(dir, 'models');
const SIDE = 36;
let engine: Engine;

/** Networks whose graphs differ: joins, composed up-convolutions, padding, one sigmoid, three channels. */
const NETWORKS = {
  valid: { channels: [16, 32], inputChannels: 1, classes: 3, seed: 1 },
  same: { channels: [16, 32], inputChannels: 3, classes: 2, seed: 2, padding: 'same', batchNorm: true },
  sigmoid: {
    channels: [8, 16],
    inputChannels: 1,
    classes: 2,
    seed: 3,
    head: 'sigmoid',
    upConvolution: 'nearest',
  },
} as const;

beforeAll(async () => {
  engine = Engine.start({ provider: 'cpu', threads: 1 });
  for (const [name, unet] of Object.entries(NETWORKS)) {
    await writeUntrained(engine, join(models, name, '1'), unet, name);
  }
});
afterAll(() => engine.close());

async function exported(name: string, more: Partial<PackageRequest> = {}) {
  const model = await new ModelShelf(models).find(name);
  const made = await exportPackage(engine, {
    model,
    type: undefined,
    side: SIDE,
    license: 'CC-BY-4.0',
    authors: ['A. Nobody'],
    doi: undefined,
    tensorflowJs: true,
    ...more,
  });
  const bytes = Buffer.concat(made.parts);
  return { ...made, bytes, model, open: await openArchive(`${name}.zip`, bytes) };
}

/** Pseudorandom bytes as floats. */
const noiseOf = (length: number) =>
  Float32Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24);

describe.each(Object.keys(NETWORKS) as (keyof typeof NETWORKS)[])('the package of a network (%s)', (name) => {
  const { inputChannels: channels, classes } = NETWORKS[name];

  it('has ONNX that gives the bits of serving, for images of any size', async () => {
    const { open, model, shortestSide } = await exported(name);
    const onnx = await open.read('weights.onnx');
    const loaded = await engine.load(model.folder);
    for (const side of [shortestSide, SIDE + 1]) {
      const data = noiseOf(side * side * channels);
      const dims = [1, side, side, channels];
      const found = await runModel(onnx, { [INPUT]: { data, dims } }, OUTPUT);
      const served = await predictWholeImage(engine, loaded, Uint8Array.from(data), {
        width: side,
        height: side,
      });
      expect(found.length).toBe(side * side * classes);
      expect(Buffer.from(found.buffer).equals(Buffer.from(served.buffer))).toBe(true);
    }
    await engine.unload(loaded.id);
  });

  it('has layers that plain TensorFlow.js computes', async () => {
    const { open } = await exported(name);
    const layers = await openArchive('tensorflow_js.zip', await open.read('tensorflow_js.zip'));
    const expected = parseNpy(await open.read('test_output.npy'), 'test_output.npy');
    const image = parseNpy(await open.read('test_input.npy'), 'test_input.npy');
    const found = await computeLayers(layers, image.data, channels);
    const differences = found.map((value, i) => Math.abs(value - expected.data[i]!));
    expect(Math.max(...differences)).toBeLessThan(2e-6);
    expect(expected.shape).toEqual([1, SIDE, SIDE, classes]);
  });

  it('comes back as the same model', async () => {
    const { bytes, model } = await exported(name);
    const path = join(dir, `${name}.zip`);
    await writeFile(path, bytes);
    const folder = join(dir, 'imported', name, '1');
    const { notes: _, ...source } = await readImportSource(path, { output: null, derivesHalo: false });
    const card = await importNetwork({ engine, folder, name, version: 1, source: 'a test', ...source });
    const { classes: own, data, architecture } = model.card;
    expect(card).toMatchObject({ classes: own, data, architecture: { halo: architecture.halo } });
    const [first, second] = [await engine.load(model.folder), await engine.load(folder)];
    const image = Uint8Array.from(noiseOf(SIDE * SIDE * channels));
    const labels = [];
    for (const each of [first, second]) {
      const values = await predictWholeImage(engine, each, image, { width: SIDE, height: SIDE });
      labels.push(
        Array.from({ length: SIDE * SIDE }, (__, i) => {
          const px = values.subarray(i * classes, (i + 1) * classes);
          return px.indexOf(Math.max(...px));
        }),
      );
      await engine.unload(each.id);
    }
    expect(labels[1]).toEqual(labels[0]);
  });
});

/** Computes layers as a program does that knows nothing of unseam. */
async function computeLayers(
  files: PackageFiles,
  image: Float32Array,
  channels: number,
): Promise<Float32Array> {
  const { modelTopology, weightsManifest } = JSON.parse((await files.read('model.json')).toString()) as {
    modelTopology: object;
    weightsManifest: { weights: tf.io.WeightsManifestEntry[] }[];
  };
  const weights = await files.read('weights.bin');
  await tf.setBackend('cpu');
  const model = await tfl.loadLayersModel(
    tf.io.fromMemory({
      modelTopology,
      weightSpecs: weightsManifest[0]!.weights,
      weightData: new Uint8Array(weights).buffer,
    }),
  );
  const y = tf.tidy(() => model.predict(tf.tensor(image, [1, SIDE, SIDE, channels])) as tf.Tensor);
  return (await y.data()) as Float32Array;
}

describe('a package', () => {
  it('is the same bytes each time', async () => {
    expect((await exported('valid')).bytes.equals((await exported('valid')).bytes)).toBe(true);
  });

  it('says what it takes and returns', async () => {
    const { open, shortestSide } = await exported('valid');
    const rdf = parse((await open.read('rdf.yaml')).toString()) as Record<string, unknown>;
    expect(rdf).toMatchObject({
      type: 'model',
      license: 'CC-BY-4.0',
      authors: [{ name: 'A. Nobody' }],
      inputs: [
        { axes: [{}, { id: 'y', size: { min: shortestSide, step: 1 } }, {}, { channel_names: ['gray'] }] },
      ],
      weights: { onnx: { source: 'weights.onnx' }, tensorflow_js: { source: 'tensorflow_js.zip' } },
    });
  });

  it('is for values of the requested type', async () => {
    const { open, largestDifference } = await exported('valid', { type: 'uint16', tensorflowJs: false });
    const { data } = parseNpy(await open.read('test_input.npy'), 'test_input.npy');
    expect(data.reduce((a, b) => Math.max(a, b))).toBeGreaterThan(255);
    expect(largestDifference).toBe(0);
    expect(open.paths).not.toContain('tensorflow_js.zip');
  });

  it('is refused where one of its files was changed', async () => {
    const { open } = await exported('valid', { tensorflowJs: false });
    const folder = await mkdtemp(join(dir, 'changed-'));
    for (const path of open.paths) await writeFile(join(folder, path), await open.read(path));
    for (const name of ['test_input.npy', 'network.onnx', 'card.json']) {
      await appendFile(join(folder, name), ' ');
      const reading = readImportSource(folder, { output: null, derivesHalo: false });
      await expect(reading).rejects.toThrow(`${name} was changed: its SHA-256 is`);
    }
  });

  it('needs an image that is larger than what is mirrored', async () => {
    await expect(exported('valid', { side: 8 })).rejects.toThrow(
      /images of 8 px are too small .* at least \d+ px/,
    );
  });
});
