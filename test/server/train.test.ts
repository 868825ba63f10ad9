import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Card, cardSchema } from '../../model/card.js';
import { testFolder } from '../support/files.js';
import { onnxBesideCpu } from '../support/oracle.js';
import { unseam } from '../support/product.js';
import { even } from '../support/rasters.js';

const folder = await testFolder();
const data = join(folder, 'data');
const train = (models: string, ...args: string[]) =>
  unseam([
    ...['train', '--models', join(folder, models), '--scratch', folder, '--threads', '2'],
    ...['--images', join(data, 'images'), '--labels', join(data, 'labels'), '--name', 'tiny'],
    ...['--classes', 'background,triangle,circle', '--channels', '4,8', '--tile', '70'],
    ...[
      '--epochs',
      '2',
      '--epoch-steps',
      '6',
      '--validation',
      'shapes-0004',
      '--test',
      'shapes-0005',
      ...args,
    ],
  ]);
const cardOf = async (path: string): Promise<Card> =>
  cardSchema.parse(JSON.parse(await readFile(join(folder, path, 'card.json'), 'utf8')));

beforeAll(async () => {
  expect(await unseam(['samples', '-o', data, '-s', '150', '-n', '5'])).toMatchObject({ code: 0 });
});

describe('unseam train', () => {
  it('makes a model that is served, that plain tfjs loads, and again the same by the same command', async () => {
    const first = await train('one');
    expect(first).toMatchObject({ code: 0 });
    expect(first.stderr).toMatch(/5 images, 0.1 Mpx \(150×150; gray, \d+ to \d+\): background/);
    expect(first.stderr).toMatch(/epoch 2\/2: loss .* pixelError/);
    const card = await cardOf('one/tiny/1');
    expect(card).toMatchObject({
      name: 'tiny',
      version: 1,
      architecture: { channels: [4, 8], halo: even(8), multiple: 2 },
      data: {
        split: { training: ['shapes-0001', 'shapes-0002', 'shapes-0003'], validation: ['shapes-0004'] },
      },
    });
    expect(card.scores.test!.pixelError).toBeLessThan(0.5);
    expect(card.training.command).toMatch(
      /^unseam train --threads 2 --name tiny --images .* --epochs 2 --epoch-steps 6$/,
    );

    await train('two');
    expect((await cardOf('two/tiny/1')).weights).toEqual(card.weights);
    await train('two', '--seed', '2');
    expect((await cardOf('two/tiny/2')).weights.sha256).not.toBe(card.weights.sha256);

    const image = join(data, 'images', 'shapes-0001.png');
    const segmented = await unseam([
      'segment',
      image,
      '-o',
      join(folder, 'mask.png'),
      '--models',
      join(folder, 'one'),
    ]);
    expect(segmented).toMatchObject({ code: 0, stderr: expect.stringMatching(/exact/) });

    await onnxBesideCpu();
    await tf.setBackend('cpu');
    const { modelTopology, weightsManifest } = JSON.parse(
      await readFile(join(folder, 'one/tiny/1/model.json'), 'utf8'),
    );
    const weights = await readFile(join(folder, 'one/tiny/1', weightsManifest[0].paths[0]));
    const model = await tfl.loadLayersModel(
      tf.io.fromMemory({
        modelTopology,
        weightSpecs: weightsManifest[0].weights,
        weightData: new Uint8Array(weights).buffer,
      }),
    );
    expect(model.countParams()).toBe(card.architecture.parameters);
  });

  it('leaves no partial folder', async () => {
    expect(await readdir(join(folder, 'one', 'tiny'))).toEqual(['1']);
    expect((await readdir(join(folder, 'one/tiny/1'))).sort()).toEqual([
      'card.json',
      'model.json',
      'training',
      'weights.bin',
    ]);
    expect((await readdir(join(folder, 'one/tiny/1/training'))).sort()).toEqual([
      'curves.svg',
      expect.stringMatching(/^events\.out\.tfevents\./),
      'log.jsonl',
      'report.html',
      'run.json',
      'test.png',
      'validation.png',
    ]);
  });

  it('refuses weights that are not those of the card', async () => {
    await cp(join(folder, 'one'), join(folder, 'damaged'), { recursive: true });
    const weights = join(folder, 'damaged/tiny/1/weights.bin');
    const bytes = await readFile(weights);
    bytes[0]! ^= 1;
    await writeFile(weights, bytes);
    const image = join(data, 'images', 'shapes-0001.png');
    const result = await unseam([
      'segment',
      image,
      '-o',
      join(folder, 'm.png'),
      '--models',
      join(folder, 'damaged'),
    ]);
    expect(result).toMatchObject({
      code: 7,
      stderr: expect.stringMatching(/is not what the card describes/),
    });
  });
});

describe('training data that is not as it must be', () => {
  const sizes: [string, string[], RegExp][] = [
    [
      'a label value outside the classes',
      ['--classes', 'background,shape'],
      /hold the value 2; 2 classes are 0 to 1/,
    ],
    ['an unknown image in the split', ['--validation', 'nothing'], /no image is named "nothing"/],
    ['a tile that the network cannot take', ['--tile', '71'], /71 px is no valid tile side/],
    ['a class without a name', ['--classes', 'a,,b'], /a class is NAME/],
  ];
  it.each(sizes)('%s', async (_name, args, message) => {
    expect(await train('bad', ...args)).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
  });

  it('a missing partner', async () => {
    await rm(join(data, 'labels', 'shapes-0003.png'));
    const result = await train('bad');
    expect(result).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/shapes-0003.png has no partner/),
    });
  });
});
