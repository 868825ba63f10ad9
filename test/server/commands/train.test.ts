import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Card, cardSchema } from '../../../model/shelf/card.js';
import { PRESETS, type PresetName } from '../../../server/training/presets.js';
import { testFolder } from '../../support/files.js';
import { onnxBesideCpu } from '../../support/oracle.js';
import { unseam, unseamHere } from '../../support/product.js';
import { even } from '../../support/rasters.js';

const folder = await testFolder();
const data = join(folder, 'data');
const colour = join(folder, 'colour');
const train = (models: string, ...args: string[]) => unseam(trainingOf(models, ...args));
const refusal = (...args: string[]) => unseamHere(trainingOf('bad', ...args));
const trainingOf = (models: string, ...args: string[]) => [
  ...['train', '--models', join(folder, models), '--scratch', folder, '--threads', '2'],
  ...['--images', join(data, 'images'), '--labels', join(data, 'labels'), '--name', 'tiny'],
  ...['--classes', 'background,triangle,circle', '--channels', '4,8', '--tile', '70'],
  ...['--epochs', '2', '--epoch-steps', '6', '--validation', 'shapes-0004', '--test', 'shapes-0005', ...args],
];
const cardOf = async (path: string): Promise<Card> =>
  cardSchema.parse(JSON.parse(await readFile(join(folder, path, 'card.json'), 'utf8')));

beforeAll(async () => {
  expect(await unseamHere(['samples', '-o', data, '-s', '150', '-n', '5'])).toMatchObject({ code: 0 });
  await writeColourLabels();
});

/** The labels as colour images, with one gray value per class. */
async function writeColourLabels(): Promise<void> {
  await mkdir(colour);
  for (const name of await readdir(join(data, 'labels'))) {
    await sharp(join(data, 'labels', name))
      .toColourspace('srgb')
      .png()
      .toFile(join(colour, name));
  }
}

describe('unseam train', () => {
  it('writes a model that can be served and loaded by plain tfjs, reproducibly', async () => {
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

  it('records validation scores, and the metric that selected the best network', async () => {
    const training = join(folder, 'one/tiny/1/training');
    const lines = (await readFile(join(training, 'log.jsonl'), 'utf8')).trim().split('\n');
    const epochs = lines.map((line) => JSON.parse(line)).filter(({ kind }) => kind === 'epoch');
    expect(epochs.map(({ validationLoss }) => Number.isFinite(validationLoss))).toEqual([true, true]);
    const { best } = (await cardOf('one/tiny/1')).training;
    expect(epochs.map(({ monitor }) => monitor)).toContainEqual({ score: 'meanDice', value: best?.value });
    expect(best).toMatchObject({ monitor: 'meanDice', steps: 6 * best!.epoch });
    expect(await readFile(join(training, 'curves.svg'), 'utf8')).toContain('>validation</text>');
    expect(await readFile(join(training, 'report.html'), 'utf8')).toContain(
      '<th>monitor</th><td>meanDice</td>',
    );
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

  it('rejects weights that do not match the card', async () => {
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
      stderr: expect.stringMatching(/does not match its card/),
    });
  });
});

describe('instead of training', () => {
  it('--preview writes only a sheet of crops', async () => {
    const path = join(folder, 'preview.png');
    const result = await train(
      'none',
      '--preview',
      path,
      '--border-weight',
      '10',
      '--augment',
      'elastic:5,flip',
      ...['--classes', 'background,triangle,circle,star'],
    );
    expect(result).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/8 crops with their labels and weights/),
    });
    expect(result.stderr.match(/no label has the class .*/g)).toEqual([
      'no label has the class star: check its value or colour',
    ]);
    expect((await sharp(path).metadata()).width).toBeGreaterThan(6 * 70);
    expect(await readdir(folder)).not.toContain('none');
  });

  it('--find-lr only plots the losses and suggests a rate', async () => {
    const path = join(folder, 'lr.svg');
    const result = await train('none', '--find-lr', path, '--lr-steps', '30');
    expect(result).toMatchObject({ code: 0, stderr: expect.stringMatching(/suggested learning rate: /) });
    const { suggestion, points } = JSON.parse(result.stdout);
    expect(points.length).toBeGreaterThan(10);
    expect(suggestion).toBeGreaterThan(1e-5);
    expect(await readFile(path, 'utf8')).toMatch(/^<svg [\s\S]*suggested: [\s\S]*<\/svg>\n$/);
    expect(await readdir(folder)).not.toContain('none');
  });

  it('--find-lr reports the rate at which the loss diverges', async () => {
    const sgd = ['--optimizer', 'sgd', '--momentum', '0.99', '--lr-min', '1e-3', '--lr-max', '1000'];
    const result = await train('none', '--find-lr', join(folder, 'lr.svg'), ...sgd);
    expect(result.stderr).toMatch(/diverged at step \d+, learning rate /);
  });
});

describe('cross-validation and warm starts', () => {
  it('--folds trains one network per fold, and prints the mean scores', async () => {
    const result = await unseam([
      ...['train', '--models', join(folder, 'folds'), '--scratch', folder, '--name', 'net', '--folds', '2'],
      ...['--images', join(data, 'images'), '--labels', join(data, 'labels'), '--test', 'shapes-0005'],
      ...['--classes', 'a,b,c', '--channels', '4,8', '--tile', '70', '--epochs', '1', '--epoch-steps', '2'],
    ]);
    expect(result).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^fold .*\n1 .*\n2 .*\nmean .*\nsd .*\n$/),
    });
    const [first, second] = [await cardOf('folds/net-fold-1/1'), await cardOf('folds/net-fold-2/1')];
    expect([...first.data.split.validation!, ...second.data.split.validation!].sort()).toEqual(
      [1, 2, 3, 4].map((n) => `shapes-000${n}`),
    );
  });

  it('--from starts from the weights of a model, with a new last layer if the classes differ', async () => {
    await cp(join(folder, 'one', 'tiny'), join(folder, 'warm', 'tiny'), { recursive: true });
    const two = join(folder, 'two-classes');
    await mkdir(two);
    for (const name of await readdir(join(data, 'labels'))) {
      const { data: raw, info } = await sharp(join(data, 'labels', name))
        .raw()
        .toBuffer({ resolveWithObject: true });
      const picture = { raw: { width: info.width, height: info.height, channels: 1 as const } };
      await sharp(
        raw.map((v) => (v > 0 ? 255 : 0)),
        picture,
      )
        .toColourspace('b-w')
        .png()
        .toFile(join(two, name));
    }
    const args = (...more: string[]) => [
      ...['train', '--models', join(folder, 'warm'), '--scratch', folder, '--name', 'next', '--threads', '2'],
      ...['--images', join(data, 'images'), '--labels', two, '--classes', 'nothing,shape', '--tile', '70'],
      ...['--epochs', '1', '--epoch-steps', '2', '--from', 'tiny', ...more],
    ];
    expect(await unseam(args('--freeze-encoder'))).toMatchObject({ code: 0 });
    const [before, after] = [await cardOf('warm/tiny/1'), await cardOf('warm/next/1')];
    expect(after.architecture).toMatchObject({ channels: [4, 8] });
    expect(after.architecture.parameters).toBe(before.architecture.parameters - 5);
    const encoder = async (name: string) => {
      const path = (file: string) => join(folder, 'warm', name, '1', file);
      const { weightsManifest } = JSON.parse(await readFile(path('model.json'), 'utf8'));
      const bytes = await readFile(path('weights.bin'));
      let at = 0;
      for (const { name: weight, shape } of weightsManifest[0].weights) {
        const length = 4 * shape.reduce((size: number, n: number) => size * n, 1);
        if (weight === 'down_0_a/kernel') return bytes.subarray(at, at + length);
        at += length;
      }
      throw new Error('the encoder is not there');
    };
    expect(await encoder('next')).toEqual(await encoder('tiny'));
    expect(await unseam(args('--channels', '4,8'))).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--from uses the network of its model; leave --channels out/),
    });
  });
});

describe('every preset', () => {
  it.each(Object.keys(PRESETS))(
    '%s builds, trains three steps and saves',
    async (preset) => {
      // presets.test.ts checks the published sizes; here the first level has 2 features
      const { channels } = PRESETS[preset as PresetName].unet;
      const small = channels.map((_, i) => 2 * 2 ** i).join();
      const isColour = preset === 'encoder-decoder';
      const result = await unseamHere([
        ...[
          'train',
          '--preset',
          preset,
          '--models',
          join(folder, 'presets'),
          '--scratch',
          folder,
          '--name',
          preset,
        ],
        ...['--images', join(data, 'images')],
        ...['--channels', small, ...(isColour ? ['--decoder-channels', '8,4,2,2'] : []), '--epochs', '1'],
        ...['--epoch-steps', '3', '--legend', '#000000=a,#010101=b,#020202=b', '--labels', colour],
      ]);
      expect(result).toMatchObject({ code: 0 });
      const card = await cardOf(`presets/${preset}/1`);
      expect(card.training.steps).toBe(3);
      expect(card.architecture.tileable).toBe(!isColour);
      const segmented = await unseamHere([
        ...['segment', join(data, 'images', 'shapes-0001.png'), '-o', join(folder, 'p.png'), '--json'],
        ...['--models', join(folder, 'presets'), '--model', preset],
      ]);
      expect(segmented).toMatchObject({ code: 0 });
      expect(JSON.parse(segmented.stdout)).toMatchObject({ exact: !isColour });
      if (isColour) expect(JSON.parse(segmented.stdout).warnings.join()).toMatch(/one tile size/);
    },
    120_000,
  );
});

describe('unseam evaluate', () => {
  const evaluate = (...args: string[]) =>
    unseamHere([
      ...['evaluate', '--models', join(folder, 'one'), '--scratch', folder, '--threads', '2'],
      ...['--images', join(data, 'images'), '--labels', join(data, 'labels'), ...args],
    ]);

  it('prints and saves the same scores as the training, for the same images', async () => {
    const out = join(folder, 'scores.json');
    const result = await evaluate('--only', 'shapes-0005', '--json', '-o', out);
    expect(result).toMatchObject({ code: 0 });
    const { scores, images } = JSON.parse(result.stdout);
    expect(scores).toEqual((await cardOf('one/tiny/1')).scores.test);
    expect(Object.keys(images)).toEqual(['shapes-0005']);
    expect(JSON.parse(await readFile(out, 'utf8'))).toEqual(JSON.parse(result.stdout));
  });

  it('rejects instance labels for a model with other classes', async () => {
    expect(await evaluate('--instances')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--instances is for two classes, background and cell; there are 3/),
    });
  });

  it('averages over symmetries like segment', async () => {
    const plain = JSON.parse((await evaluate('--json')).stdout);
    const averaged = JSON.parse((await evaluate('--json', '--tta')).stdout);
    expect(averaged.tta).toBe(true);
    expect(Object.keys(averaged.scores)).toEqual(Object.keys(plain.scores));
    const masks: string[] = [];
    const probabilities: string[] = [];
    for (const [tile, ...flags] of [['44', '--tta'], ['60', '--tta'], ['whole', '--tta'], ['whole']]) {
      const [mask, floats] = [join(folder, 'tta.png'), join(folder, 'tta.tif')];
      const models = ['--models', join(folder, 'one'), '--tile', tile!, ...flags];
      const image = join(data, 'images', 'shapes-0001.png');
      const also = ['--also', `probabilities=${floats}`];
      const result = await unseamHere(['segment', image, '-o', mask, ...also, ...models]);
      expect(result).toMatchObject({ code: 0 });
      masks.push((await readFile(mask)).toString('base64'));
      probabilities.push((await readFile(floats)).toString('base64'));
    }
    expect(new Set(masks.slice(0, 3)).size).toBe(1);
    expect(new Set(probabilities.slice(0, 3)).size).toBe(1);
    expect(probabilities[3]).not.toBe(probabilities[0]);
  });
});

describe('unseam models show', () => {
  it('lists the layers with shapes and parameters, and draws the net', async () => {
    const svg = join(folder, 'net.svg');
    const { code, stdout } = await unseam([
      'models',
      'show',
      'tiny',
      '--models',
      join(folder, 'one'),
      '--svg',
      svg,
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/down_0_a +Conv2D +\d+×\d+×4 +40\n/);
    // the table ends with the sum; then a line says how the model is computed fastest
    expect(stdout.trim().split('\n').at(-3)!.trim()).toBe(
      (await cardOf('one/tiny/1')).architecture.parameters.toLocaleString('en'),
    );
    expect(await readFile(svg, 'utf8')).toMatch(/^<svg [\s\S]*up-convolution[\s\S]*<\/svg>\n$/);
  });
});

describe('volumes', () => {
  it('with equal page counts are paired page by page', async () => {
    const stack = async (part: string) => {
      const pages = await Promise.all(
        [1, 2, 3].map((n) =>
          sharp(join(data, part, `shapes-000${n}.png`))
            .raw()
            .toBuffer(),
        ),
      );
      const path = join(folder, `${part}.tif`);
      const raw = { raw: { width: 150, height: 450, channels: 1 as const, pageHeight: 150 } };
      await sharp(Buffer.concat(pages), raw).toColourspace('b-w').tiff({ compression: 'lzw' }).toFile(path);
      return path;
    };
    const [images, labels] = [await stack('images'), await stack('labels')];
    const args = ['--images', images, '--labels', labels, '--validation', '2', '--test', '1'];
    const result = await train('volume', ...args);
    expect(result).toMatchObject({ code: 0, stderr: expect.stringMatching(/^3 images, 0.1 Mpx \(150×150/) });
    expect((await cardOf('volume/tiny/1')).data.split).toEqual({
      training: ['0'],
      validation: ['2'],
      test: ['1'],
    });
    const other = await train(
      'volume',
      '--images',
      images,
      '--labels',
      join(data, 'labels', 'shapes-0001.png'),
    );
    expect(other).toMatchObject({ code: 2, stderr: expect.stringMatching(/has 3 pages, .* has 1/) });
  });
});

describe('invalid training data', () => {
  const sizes: [string, string[], RegExp][] = [
    [
      'a label value outside the classes',
      ['--classes', 'background,shape'],
      /hold the value 2; 2 classes are 0 to 1/,
    ],
    ['an unknown image in the split', ['--validation', 'nothing'], /no image is named "nothing"/],
    ['an invalid tile size for the network', ['--tile', '71'], /71 px is not a valid tile side/],
    ['several devices', ['--device', 'cpu:0,cpu:1'], /cpu:0,cpu:1: a network is trained on one device/],
    ['fewer images than folds', ['--folds', '9'], /--folds selects the validation images/],
    ['an unknown augmentation', ['--augment', 'twirl'], /unknown augmentation "twirl": expected flip/],
    ['class weights for other classes', ['--class-weights', '1,2'], /needs 3 numbers/],
    ['border options without borders', ['--border-live'], /need --border-weight/],
    [
      'a score that is undefined for three classes',
      ['--monitor', 'vRand'],
      /vRand is for two classes, and there are 3/,
    ],
    ['labels in colour without a legend', ['--labels', colour], /with --legend/],
    ['a class without a name', ['--classes', 'a,,b'], /invalid class .*: expected NAME/],
  ];
  it.each(['Nuclei', 'my_cells', '../x'])('a name that no model can have: %s', async (name) => {
    expect(await refusal('--name', name)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("a model's name has up to 64 lowercase letters, digits and hyphens"),
    });
  });

  it.each(sizes)('%s', async (_name, args, message) => {
    expect(await refusal(...args)).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
  });

  it('leaves no version behind', async () => {
    expect(await readdir(folder)).not.toContain('bad');
  });

  it('a missing partner', async () => {
    await rm(join(data, 'labels', 'shapes-0003.png'));
    const result = await refusal();
    expect(result).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/shapes-0003.png has no partner/),
    });
  });
});
