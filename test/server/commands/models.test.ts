import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Card } from '../../../model/shelf/card.js';
import { ModelShelf } from '../../../model/shelf/shelf.js';
import { testFolder } from '../../support/files.js';
import { MODELS, unseamHere } from '../../support/product.js';

const root = await testFolder();

/** A copy of a model with a modified card. */
async function broken(name: string, change: (card: Card) => object): Promise<void> {
  const folder = join(root, name, '1');
  await mkdir(join(root, name));
  await cp(join(MODELS, 'shapes', '1'), folder, { recursive: true });
  const path = join(folder, 'card.json');
  const card = JSON.parse(await readFile(path, 'utf8')) as Card;
  await writeFile(path, JSON.stringify({ ...card, name, ...change(card) }));
}

const REASONS: Record<string, RegExp> = {
  classes: /classes: 2; the network has 3/,
  halo: /halo: \{"top":40,.*; the network has \{"top":44,/,
  input: /input channels: 3; the network has 1/,
  newer: /card\.json has format version 99, of a newer unseam; this one reads versions up to/,
  other: /card\.json names model shapes, version 1; its folder, other\/1/,
  torn: /card\.json is not JSON/,
};

beforeAll(async () => {
  await cp(join(MODELS, 'shapes'), join(root, 'shapes'), { recursive: true });
  await broken('classes', ({ classes }) => ({ classes: classes.slice(1) }));
  await broken('halo', ({ architecture }) => ({
    architecture: { ...architecture, halo: { top: 40, left: 40, bottom: 40, right: 40 } },
  }));
  await broken('input', () => ({ inputChannels: 3 }));
  await broken('newer', () => ({ form: 99 }));
  await broken('other', () => ({ name: 'shapes' }));
  await broken('torn', () => ({}));
  await writeFile(join(root, 'torn', '1', 'card.json'), '{"name": "to');
});

describe('unseam models', () => {
  it('lists usable models, and unusable ones with the mismatch of card, folder and network', async () => {
    const { code, stdout, stderr } = await unseamHere(['models', '--models', root, '--json']);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { name: string; error?: string });
    const errors = Object.fromEntries(lines.flatMap(({ name, error }) => (error ? [[name, error]] : [])));
    expect({ code, stderr, errors }).toEqual({
      code: 7,
      stderr: '',
      errors: Object.fromEntries(
        Object.entries(REASONS).map(([name, reason]) => [name, expect.stringMatching(reason)]),
      ),
    });
    expect(lines.filter(({ error }) => error === undefined).map(({ name }) => name)).toEqual(['shapes']);
  });
});

describe('the shelf', () => {
  it('reports an unreadable card without reading the weights, and without a path', async () => {
    const { cards, unreadable } = await new ModelShelf(root).survey();
    expect(cards.map(({ name }) => name)).toEqual(['classes', 'halo', 'input', 'shapes']);
    expect(unreadable.map(({ name }) => name)).toEqual(['newer', 'other', 'torn']);
    expect(JSON.stringify(unreadable)).not.toContain(root);
  });

  it('provides no model whose card is unreadable or belongs to another model', async () => {
    const shelf = new ModelShelf(root);
    for (const name of ['newer', 'other', 'torn/1']) {
      await expect(shelf.find(name)).rejects.toMatchObject({ code: 'bad-checkpoint' });
    }
    expect(await shelf.find('shapes')).toMatchObject({ name: 'shapes', version: 1 });
  });
});
