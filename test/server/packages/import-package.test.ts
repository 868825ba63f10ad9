import { existsSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { File, FS, ready } from 'h5wasm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../../model/engine/engine.js';
import { encodeNpy, parseNpy } from '../../../model/exchange/npy.js';
import type { ScoreKind } from '../../../model/network/score-kind.js';
import type { Card } from '../../../model/shelf/card.js';
import { loadCheckpoint } from '../../../model/shelf/checkpoint.js';
import { classesOf } from '../../../server/packages/class-names.js';
import { type ImportRequest, importNetwork } from '../../../server/packages/import-network.js';
import { readImportSource } from '../../../server/packages/import-source.js';
import { zipParts } from '../../../server/packages/zip-writer.js';
import { testFolder } from '../../support/files.js';
import { OnnxGraphs } from '../../support/onnx-graphs.js';
import {
  archiveOf,
  DESCRIPTION_04,
  DESCRIPTION_05,
  HALO,
  type SmallPackage,
  sha256Of,
  smallPackage,
} from '../../support/packages.js';

const dir = await testFolder();
let engine: Engine;
let good: SmallPackage;
let count = 0;

beforeAll(async () => {
  engine = Engine.start({ provider: 'cpu', threads: 1 });
  good = await smallPackage();
});
afterAll(() => engine.close());

/** Imports a file, as the command does. */
async function importFile(
  path: string,
  derivesHalo = false,
  more: Partial<ImportRequest> = {},
): Promise<{ card: Card; folder: string }> {
  const name = `model-${++count}`;
  const folder = join(dir, 'models', name, '1');
  const { notes: _, ...source } = await readImportSource(path, { output: null, derivesHalo });
  const card = await importNetwork({
    engine,
    folder,
    name,
    version: 1,
    source: 'a test',
    ...source,
    ...more,
  });
  return { card, folder };
}

async function importPackage(made: SmallPackage, derivesHalo = false) {
  const path = join(dir, `${++count}.zip`);
  await writeFile(path, archiveOf(made));
  return importFile(path, derivesHalo);
}

/** The good package with another description. */
const changed = (
  change: (description: typeof DESCRIPTION_05) => object,
  files: SmallPackage['files'] = good.files,
): SmallPackage => ({ description: change(structuredClone(DESCRIPTION_05)), files });

describe('a package', () => {
  it.each([
    ['0.5', DESCRIPTION_05],
    ['0.4', DESCRIPTION_04],
  ])('of version %s becomes a model that computes its test', async (_form, description) => {
    const { card, folder } = await importPackage({ ...good, description });
    expect(card).toMatchObject({
      description: 'A network of random weights.',
      architecture: { kind: 'onnx', halo: { top: HALO, left: HALO, bottom: HALO, right: HALO }, multiple: 2 },
      inputChannels: 1,
      normalisation: [{ step: 'zero_mean_unit_variance', of: 'channel', eps: 1e-6 }],
      postprocessing: [{ step: 'sigmoid' }],
      classes: [{ name: 'background', colour: null }, { colour: '#e6550d' }],
      data: { citation: 'Nobody (2026) 10.1234/none', terms: 'licence: CC0-1.0' },
      imported: { verification: { test: { values: 4096, mismatches: 0 }, tiles: { differing: 0 } } },
    });
    expect(existsSync(join(folder, 'model.onnx'))).toBe(true);
  });

  it('that makes zeros and ones by a threshold has its labels by that', async () => {
    const { shape, data } = parseNpy(good.files.get('output.npy')!, 'output.npy');
    const binarised = encodeNpy({ shape, data: Float32Array.from(data, (value) => (value > 0.4 ? 1 : 0)) });
    const { card } = await importPackage(
      changed(
        (made) => {
          const postprocessing = [{ id: 'sigmoid' }, { id: 'binarize', kwargs: { threshold: 0.4 } }];
          return { ...made, outputs: [{ ...made.outputs[0], postprocessing }] };
        },
        new Map([...good.files, ['output.npy', binarised]]),
      ),
    );
    expect(card.postprocessing).toEqual([{ step: 'sigmoid' }, { step: 'threshold', value: 0.4 }]);
    expect(card.threshold).toBeUndefined();
  });

  it('that makes zeros and ones of several sigmoids is imported with a note that it does not', async () => {
    const notes: string[] = [];
    const graphs = new OnnxGraphs(1);
    const path = join(dir, 'several.onnx');
    await writeFile(path, graphs.file(graphs.g.op('Sigmoid', [graphs.conv('image', 1, 2)])));
    const { card } = await importFile(path, false, { threshold: 0.4, onNote: (note) => notes.push(note) });
    expect(card.classes).toHaveLength(3);
    expect(notes).toEqual([expect.stringContaining('its step binarize is left out')]);
  });

  it('of ours has the classes that its card has, under other names if requested', async () => {
    const graphs = new OnnxGraphs(1);
    const path = join(dir, 'own.onnx');
    await writeFile(path, graphs.file(graphs.g.op('Sigmoid', [graphs.conv('image', 1, 2)])));
    const own = classesOf(['nucleus', 'membrane']); // of an earlier version, which took one of the sigmoids for a background
    const { card, folder } = await importFile(path, false, { ownClasses: own, card: { classes: own } });
    const { network } = await loadCheckpoint(folder);
    expect([card.classes.length, network.head.kind]).toEqual([2, 'probabilities']);
    network.dispose();
    const other = { ownClasses: classesOf(['a', 'b', 'c']), card: { classes: own } };
    await expect(importFile(path, false, other)).rejects.toThrow(
      'the package has 3 classes (a, b, c), and 2 are named',
    );
  });

  it.each(['rdf.yaml', 'unet.bioimageio.yaml'])('may be an archive of its folder, with %s', async (named) => {
    const files = [...good.files, [named, Buffer.from(JSON.stringify(good.description))] as const];
    const zipped = files.map(([name, data]) => ({ name: `unet/${name}`, data }));
    const path = join(dir, `folder-${named}.zip`);
    const more = { name: '__MACOSX/unet/._rdf.yaml', data: Buffer.from('more') };
    await writeFile(path, Buffer.concat(zipParts([...zipped, more])));
    const { card } = await importFile(path);
    expect(card.imported!.verification.test).toMatchObject({ mismatches: 0 });
  });

  const REFUSALS: Record<string, readonly [() => SmallPackage, RegExp]> = {
    'a halo that is too small': [
      () =>
        changed((made) => {
          for (const axis of made.outputs[0]!.axes.slice(2)) Object.assign(axis, { halo: 2 });
          return made;
        }),
      /states a halo of 2 × 2 px, and its network needs 4 × 4/,
    ],
    'a wrong test tensor': [
      () => {
        const wrong = encodeNpy({ shape: [1, 1, 64, 64], data: new Float32Array(4096).fill(0.9) });
        return { ...good, files: new Map([...good.files, ['output.npy', wrong]]) };
      },
      /of 4096 values of its test are beyond the tolerance/,
    ],
    'a test tensor of another size': [
      () => {
        const wrong = encodeNpy({ shape: [1, 1, 32, 64], data: new Float32Array(2048) });
        return { ...good, files: new Map([...good.files, ['output.npy', wrong]]) };
      },
      /has an output of 32 × 64 px/,
    ],
    'a file that is missing': [
      () => ({ ...good, files: new Map([...good.files].filter(([name]) => name !== 'weights.onnx')) }),
      /it has no file weights\.onnx/,
    ],
    'a file that was changed': [
      () =>
        changed((made) => ({
          ...made,
          weights: { onnx: { source: 'weights.onnx', sha256: sha256Of(Buffer.from('other')) } },
        })),
      /weights\.onnx was changed/,
    ],
    'a path that leaves it': [
      () => changed((made) => ({ ...made, weights: { onnx: { source: '../../etc/passwd' } } })),
      /the path \.\.\/\.\.\/etc\/passwd leaves the package/,
    ],
    'an address': [
      () => changed((made) => ({ ...made, weights: { onnx: { source: 'https://example.com/w.onnx' } } })),
      /is an address: download the package as a whole/,
    ],
    'weights of PyTorch alone': [
      () => changed((made) => ({ ...made, weights: { pytorch_state_dict: { source: 'weights.pt' } } })),
      /and it has pytorch_state_dict \(convert the package by tools\/from-pytorch\.py/,
    ],
    'a step that is not supported': [
      () =>
        changed((made) => {
          made.outputs[0]!.postprocessing = [{ id: 'cellpose_flow_dynamics' }];
          return made;
        }),
      /its step cellpose_flow_dynamics is not supported/,
    ],
  };

  it.each(Object.keys(REFUSALS))('is refused by name for %s, and leaves nothing', async (name) => {
    const [make, reason] = REFUSALS[name]!;
    await expect(importPackage(make())).rejects.toThrow(reason);
    expect(existsSync(join(dir, 'models', `model-${count}`))).toBe(false);
  });

  it('with a halo that is too small may be imported with its own', async () => {
    const { card } = await importPackage(REFUSALS['a halo that is too small']![0](), true);
    expect(card.architecture.halo.top).toBe(HALO);
  });
});

describe('a description that is named', () => {
  it('may be a link, as caches of downloads have them', async () => {
    const [folder, blobs] = [join(dir, 'snapshot'), join(dir, 'blobs')];
    for (const each of [folder, blobs]) await mkdir(each);
    for (const [name, data] of good.files) await writeFile(join(folder, name), data);
    await writeFile(join(blobs, '5f3a'), JSON.stringify(good.description));
    await symlink(join(blobs, '5f3a'), join(folder, 'rdf.yaml'));
    const { card } = await importFile(join(folder, 'rdf.yaml'));
    expect(card.imported!.verification.test).toMatchObject({ mismatches: 0 });
    await expect(importFile(folder)).rejects.toThrow('rdf.yaml is a link that leads out of the package');
  });

  it('is read with the files that it names, whatever else is in its folder', async () => {
    const folder = join(dir, 'downloads');
    await mkdir(folder);
    for (const [name, data] of good.files) await writeFile(join(folder, name), data);
    await writeFile(join(folder, 'rdf.yaml'), 'type: dataset');
    await writeFile(join(folder, 'nuclei.yaml'), JSON.stringify(good.description));
    const { card } = await importFile(join(folder, 'nuclei.yaml'));
    expect(card.imported!.verification.test).toMatchObject({ mismatches: 0 });
  });
});

it.each([
  ['net/data.pkl', /is a file of PyTorch: convert it by tools\/from-pytorch\.py/],
  ['model.weights.h5', /is in Keras's newer format: save the network as HDF5/],
  ['saved_model.pb', /is a SavedModel of TensorFlow: convert it to ONNX/],
  ['model.json', /is not a package: for a network of TensorFlow\.js, name its model\.json/],
  ['notes.txt', /has no description: bioimageio\.yaml, or rdf\.yaml/],
])('an archive with %s is refused with what to import instead', async (name, reason) => {
  const path = join(dir, `${++count}.zip`);
  await writeFile(path, Buffer.concat(zipParts([{ name, data: Buffer.from('other') }])));
  await expect(importFile(path)).rejects.toThrow(reason);
});

describe('options', () => {
  it('that do not concern a source are refused', async () => {
    const [archive, text] = [join(dir, 'small.zip'), join(dir, 'notes.txt')];
    await writeFile(archive, archiveOf(good));
    await writeFile(text, 'no package');
    const reading = readImportSource(archive, { output: 'scores', derivesHalo: false });
    await expect(reading).rejects.toThrow('--output is for ONNX files of several outputs; small.zip is not');
    const other = readImportSource(text, { output: null, derivesHalo: true });
    await expect(other).rejects.toThrow(
      '--derive-halo is for packages, which may state a halo; notes.txt is not',
    );
  });
});

describe('a network of TensorFlow.js', () => {
  it('is refused where the file is another one', async () => {
    const path = join(dir, 'card.json');
    await writeFile(path, '{"name": "a card"}');
    await expect(importFile(path)).rejects.toThrow('card.json is not a model.json of TensorFlow.js');
  });

  it('is refused where it names a file twice', async () => {
    const path = join(dir, 'model.json');
    const weights = { name: 'conv/kernel', shape: [1], dtype: 'float32' };
    const manifest = { paths: ['weights.bin', 'weights.bin'], weights: [weights] };
    await writeFile(path, JSON.stringify({ modelTopology: {}, weightsManifest: [manifest] }));
    await expect(importFile(path)).rejects.toThrow('model.json names weights.bin twice');
  });
});

describe("Keras's file", () => {
  it('becomes a model of layers', async () => {
    const path = join(dir, 'network.h5');
    await writeFile(path, await kerasFile());
    const { card, folder } = await importFile(path);
    expect(card).toMatchObject({
      architecture: { kind: 'layers', halo: { top: 1 }, parameters: 9 * 3 * 2 + 2 },
      inputChannels: 3,
      imported: { verification: { tiles: { differing: 0 }, outside: { differing: 0 } } },
    });
    const { values } = await engine.compute(folder, {
      ...{ values: new Float32Array(48).fill(1), height: 4, width: 4, channels: 3 },
    });
    // in the middle, all 27 products of 0.01, or 0.02, and the bias of the channel
    expect([...values.subarray(10, 12)]).toEqual(softmax([0.27 + 0.5, 0.54 - 0.5]));
  });

  it('gives two models, whose results are not mixed up, where its output is taken for two things', async () => {
    const path = join(dir, 'logits.h5');
    await writeFile(path, await kerasFile('linear'));
    const classesAndDigest = async (scores: ScoreKind) => {
      const { card, folder } = await importFile(path, false, { scores });
      const { digest, network } = await loadCheckpoint(folder);
      network.dispose();
      return [card.classes.length, digest] as const;
    };
    const [softmax, sigmoid] = [await classesAndDigest('softmax'), await classesAndDigest('sigmoid')];
    expect([softmax[0], sigmoid[0]]).toEqual([2, 3]);
    expect(softmax[1]).not.toBe(sigmoid[1]);
  });

  it('of several sigmoids has as many classes as are named, with the background or beside it', async () => {
    const path = join(dir, 'sigmoids.h5');
    await writeFile(path, await kerasFile('sigmoid'));
    for (const [names, kind] of [
      [['background', 'nucleus'], 'probabilities'],
      [['background', 'nucleus', 'border'], 'sigmoid'],
    ] as const) {
      const { card, folder } = await importFile(path, false, { card: { classes: classesOf(names) } });
      const { network } = await loadCheckpoint(folder);
      expect([card.classes.length, network.head.kind]).toEqual([names.length, kind]);
      network.dispose();
    }
    const four = { card: { classes: classesOf(['a', 'b', 'c', 'd']) } };
    await expect(importFile(path, false, four)).rejects.toThrow(
      "3 classes, the background among them, and 4 are named; name 2, background the first, where one of its sigmoids is the background's",
    );
  });

  it('of weights alone is refused', async () => {
    const path = join(dir, 'weights.h5');
    await writeFile(path, await kerasFile('softmax', false));
    await expect(importFile(path)).rejects.toThrow('it has weights alone, no network');
  });
});

const softmax = (scores: readonly number[]): unknown[] => {
  const powers = scores.map(Math.exp);
  return powers.map((power) => expect.closeTo(power / powers.reduce((a, b) => a + b), 5));
};

/** A convolution of three channels to two, as Keras 2 stores it. */
async function kerasFile(activation = 'softmax', hasConfig = true): Promise<Uint8Array> {
  await ready;
  const path = '/made.h5';
  const file = new File(path, 'w');
  const inbound_nodes = [[['image', 0, 0, {}]]];
  const conv = { name: 'conv', filters: 2, kernel_size: [3, 3], padding: 'same', activation };
  const config = {
    class_name: 'Functional',
    config: {
      layers: [
        {
          class_name: 'InputLayer',
          name: 'image',
          config: { name: 'image', batch_input_shape: [null, null, null, 3] },
          inbound_nodes: [],
        },
        { class_name: 'Conv2D', name: 'conv', config: conv, inbound_nodes },
      ],
      input_layers: [['image', 0, 0]],
      output_layers: [['conv', 0, 0]],
    },
  };
  if (hasConfig) file.create_attribute('model_config', JSON.stringify(config));
  const weights = file.create_group('model_weights');
  weights.create_attribute('layer_names', ['image', 'conv']);
  weights.create_group('image');
  const group = weights.create_group('conv');
  group.create_attribute('weight_names', ['conv/kernel:0', 'conv/bias:0']);
  const own = group.create_group('conv');
  const kernel = Float32Array.from({ length: 54 }, (_, i) => (i % 2 === 0 ? 0.01 : 0.02));
  own.create_dataset({ name: 'kernel:0', data: kernel, shape: [3, 3, 3, 2], dtype: '<f' });
  own.create_dataset({ name: 'bias:0', data: Float32Array.of(0.5, -0.5), shape: [2], dtype: '<f' });
  file.close();
  const bytes = FS!.readFile(path) as Uint8Array;
  FS!.unlink(path);
  return bytes;
}
