import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Card } from '../../../model/shelf/card.js';
import { ModelShelf } from '../../../model/shelf/shelf.js';
import { testFolder } from '../../support/files.js';
import { MODELS } from '../../support/product.js';

const root = await testFolder();
const shelf = new ModelShelf(join(root, 'models'));
const cardPath = (version: string) => join(root, 'models', 'shapes', version, 'card.json');

/** Gives a version of the model a card, as its training does last. */
async function addVersion(version: number | string, description = 'shapes'): Promise<void> {
  const card = JSON.parse(await readFile(join(MODELS, 'shapes', '1', 'card.json'), 'utf8')) as Card;
  await mkdir(join(root, 'models', 'shapes', String(version)), { recursive: true });
  await writeFile(cardPath(String(version)), JSON.stringify({ ...card, version, description }));
}

beforeAll(() => addVersion(1));

describe('a shelf', () => {
  it('finds the latest version of a model, as soon as it has a card', async () => {
    expect(await shelf.find('shapes')).toMatchObject({ name: 'shapes', version: 1 });
    await mkdir(join(root, 'models', 'shapes', '2'));
    expect(await shelf.find('shapes')).toMatchObject({ version: 1 });
    await addVersion(2);
    expect(await shelf.find('shapes')).toMatchObject({ version: 2 });
    expect(await shelf.find('shapes/1')).toMatchObject({ version: 1 });
  });

  it('finds a quantised version only by its number', async () => {
    for (const version of ['1', '1-int8']) {
      const folder = join('em-membrane', version);
      await cp(join(MODELS, folder, 'card.json'), join(root, 'models', folder, 'card.json'));
    }
    expect(await shelf.find('em-membrane')).toMatchObject({ version: 1 });
    expect(await shelf.find('em-membrane/1-int8')).toMatchObject({ version: '1-int8' });
  });

  it('names the versions of a model that lacks the requested one', async () => {
    for (const version of ['1', '1-int8']) {
      const folder = join('em-membrane', version);
      await cp(join(MODELS, folder, 'card.json'), join(root, 'models', folder, 'card.json'));
    }
    await expect(shelf.find('em-membrane/7')).rejects.toThrow('known: em-membrane/1, em-membrane/1-int8');
  });

  it('has the card as it is now', async () => {
    const description = async () => (await shelf.find('shapes/1')).card.description;
    expect(await description()).toBe('shapes');
    await addVersion(1, 'images');
    expect(await description()).toBe('images');
    await writeFile(cardPath('1'), '{');
    await expect(shelf.find('shapes/1')).rejects.toMatchObject({ code: 'bad-checkpoint' });
    await rm(cardPath('1'));
    await expect(shelf.find('shapes/1')).rejects.toMatchObject({ code: 'unknown-model' });
  });

  it('takes no name for a path of Windows', async () => {
    const folder = join(root, 'models', 'a\\..\\shapes'); // a name on Linux
    await cp(join(root, 'models', 'shapes'), folder, { recursive: true });
    await expect(shelf.find('a\\..\\shapes')).rejects.toMatchObject({ code: 'unknown-model' });
    await rm(folder, { recursive: true });
  });

  it.each(['', 'other', 'shapes/9', 'shapes/', '../models/shapes', '.', '..', './shapes', '.hidden', 'a\0b'])(
    'has no model %j, and names those that it has',
    async (name) => {
      await cp(join(root, 'models', 'shapes'), join(root, 'models', '.hidden'), { recursive: true });
      await expect(shelf.find(name)).rejects.toMatchObject({
        code: 'unknown-model',
        message: expect.stringContaining('shapes'),
      });
    },
  );
});
