import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Card, cardSchema } from '../../../model/shelf/card.js';
import { ModelShelf } from '../../../model/shelf/shelf.js';
import { testFolder } from '../../support/files.js';
import { MODELS, unseam, unseamHere } from '../../support/product.js';

const root = await testFolder();
const models = join(root, 'models');
const data = join(root, 'data');
const labelled = ['--images', join(data, 'images'), '--labels', join(data, 'labels')];
const options = ['--models', models, '--threads', '1'];
const quantize = (name: string, ...args: string[]) =>
  unseamHere(['models', 'quantize', name, ...options, '--scratch', root, ...args]);

async function cardOf(name: string, version: string): Promise<Card> {
  return cardSchema.parse(JSON.parse(await readFile(join(models, name, version, 'card.json'), 'utf8')));
}

beforeAll(async () => {
  await cp(join(MODELS, 'shapes'), join(models, 'shapes'), { recursive: true });
  expect(await unseamHere(['samples', '-o', data, '-s', '150', '-n', '5'])).toMatchObject({ code: 0 });
  const trained = await unseam([
    ...['train', '--name', 'tiny', ...labelled, ...options, '--scratch', root],
    ...['--classes', 'background,triangle,circle', '--channels', '4,8', '--tile', '70'],
    ...['--epochs', '1', '--epoch-steps', '2', '--validation', 'shapes-0004', '--test', 'shapes-0005'],
  ]);
  expect(trained).toMatchObject({ code: 0 });
});

describe('unseam models quantize', () => {
  it('calibrates with the training images of its own data set, and scores both versions on the others', async () => {
    const { code, stdout } = await quantize('tiny', ...labelled);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^tiny\/1-int8: ranges of 3 tiles of 3 images; exact under tiling\n/),
    });
    expect(stdout).toMatch(/^test +original +int8\npixelError +0\.\d{4} +0\.\d{4}$/m);
    const [original, card] = [await cardOf('tiny', '1'), await cardOf('tiny', '1-int8')];
    expect(card).toMatchObject({
      version: '1-int8',
      weights: original.weights,
      quantisation: {
        calibration: { images: ['shapes-0001', 'shapes-0002', 'shapes-0003'], tiles: 3 },
        agreement: { images: ['shapes-0004', 'shapes-0005'] },
        original: original.scores,
      },
    });
    expect(Object.keys(card.scores)).toEqual(['validation', 'test']);
    expect(card.quantisation!.agreement.share).toBeGreaterThan(0.9);
    expect(card.quantisation!.agreement.share).toBeLessThan(1);
    const evaluated = await unseam([
      ...['evaluate', '-m', 'tiny/1-int8', ...options, ...labelled, '--only', 'shapes-0005', '--json'],
    ]);
    const { model, scores } = JSON.parse(evaluated.stdout) as { model: object; scores: object };
    expect({ model, scores }).toMatchObject({ model: { version: '1-int8' }, scores: card.scores.test });
  });

  it('compares the labels where there are no true ones', async () => {
    const { code, stdout } = await quantize('shapes', '--images', join(data, 'images'), '--json');
    const { scores, quantisation } = cardSchema.parse(JSON.parse(stdout));
    expect({ code, scores }).toEqual({ code: 0, scores: {} });
    expect(quantisation!.calibration.images).toHaveLength(5);
    expect(quantisation!.agreement).toEqual({
      images: quantisation!.calibration.images,
      share: expect.any(Number),
    });
    expect(quantisation!.agreement.share).toBeGreaterThan(0.99);
    expect((await readdir(join(models, 'shapes', '1-int8'))).sort()).toEqual([
      'card.json',
      'model.json',
      'quantisation.json',
      'weights.bin',
    ]);
  });

  it('makes a version that is used only where it is named', async () => {
    const shelf = new ModelShelf(models);
    expect((await shelf.find('shapes')).version).toBe(1);
    expect((await shelf.find('shapes/1-int8')).version).toBe('1-int8');
    expect((await shelf.list()).map(({ version }) => version)).toEqual([1, 1]);
    expect((await shelf.nextVersion('shapes')).version).toBe(2);
    const listed = await unseamHere(['models', ...options.slice(0, 2)]);
    expect(listed.stdout).toMatch(
      /^shapes version 1: .*\n.*\nshapes version 1-int8: .*original's label for 99\./m,
    );
    const image = join(data, 'images', 'shapes-0001.png');
    const receipts = await Promise.all(
      ['shapes', 'shapes/1-int8'].map(async (model, i) => {
        const out = join(root, `mask-${i}.png`);
        const { stdout } = await unseam(['segment', image, '-m', model, '-o', out, ...options, '--json']);
        return JSON.parse(stdout) as object;
      }),
    );
    expect(receipts).toMatchObject([
      { model: { name: 'shapes', version: 1 }, exact: true },
      { model: { name: 'shapes', version: '1-int8' }, exact: true },
    ]);
  });

  it('replaces no version, and quantises none twice', async () => {
    const images = ['--images', join(data, 'images')];
    expect(await quantize('shapes', ...images)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/shapes\/1-int8 exists already: remove its folder/),
    });
    expect(await quantize('shapes/1-int8', ...images)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/shapes\/1-int8 is quantised already/),
    });
    expect(await quantize('tiny/3-int8', ...images)).toMatchObject({ code: 3 });
  });

  it('leaves nothing of a version that could not be made', async () => {
    await cp(join(models, 'shapes', '1'), join(models, 'other', '1'), { recursive: true });
    const path = join(models, 'other', '1', 'card.json');
    await writeFile(path, (await readFile(path, 'utf8')).replace('"shapes"', '"other"'));
    await writeFile(join(data, 'images', 'torn.png'), 'no image');
    const { code } = await quantize('other', '--images', join(data, 'images'));
    expect({ code, versions: await readdir(join(models, 'other')) }).toEqual({ code: 5, versions: ['1'] });
  });
});

describe('a quantised version', () => {
  it('whose ranges are not those of its card is refused', async () => {
    const path = join(models, 'tiny', '1-int8', 'quantisation.json');
    await writeFile(path, (await readFile(path, 'utf8')).replace('0.', '1.'));
    const listed = await unseamHere(['models', ...options.slice(0, 2)]);
    expect(listed).toMatchObject({
      code: 7,
      stderr: expect.stringMatching(
        /tiny version 1-int8 cannot be used: quantisation\.json does not match its card/,
      ),
    });
  });
});
