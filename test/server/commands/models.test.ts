import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Card } from '../../../model/card.js';
import { ModelShelf } from '../../../model/shelf.js';
import { testFolder } from '../../support/files.js';
import { MODELS, unseam } from '../../support/product.js';

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
  classes: /output channels: 2; the network has 3/,
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
    const { code, stdout, stderr } = await unseam(['models', '--models', root, '--json']);
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

describe('unseam bench', () => {
  it('measures a model in every way, and what it stores is shown and used', async () => {
    const folder = await testFolder();
    const cache = ['--cache-dir', join(folder, 'cache')];
    const before = await unseam(['models', 'show', 'shapes-notebook', ...cache]);
    expect(before.stdout).toMatch(/\nnot measured on this machine: unseam bench shapes-notebook\n$/);

    const measured = await unseam(['bench', 'shapes-notebook', '--threads', '2', '--json', ...cache]);
    expect(measured).toMatchObject({ code: 0, stderr: '' });
    const { choice, measurements, device } = JSON.parse(measured.stdout);
    expect(device).toMatch(/^cpu \(.*thread/);
    expect(new Set(measurements.map(({ lanes }: { lanes: number }) => lanes))).toEqual(new Set([1, 2]));
    for (const { mpxPerSecond } of measurements) expect(mpxPerSecond).toBeGreaterThan(0);

    const samples = join(folder, 'samples');
    await unseam(['samples', '-o', samples, '-s', '300x200', '-n', '1']);
    const image = join(samples, 'images', 'shapes-0001.png');
    const plan = await unseam(['plan', image, '-m', 'shapes-notebook', '--threads', '2', '--json', ...cache]);
    expect(JSON.parse(plan.stdout).compute).toEqual({
      lanes: choice.lanes,
      threads: choice.threads,
      batchPx: choice.batch,
      measured: true,
    });
    const requested = await unseam([
      'plan',
      image,
      ...['-m', 'shapes-notebook', '--threads', '2', '--lanes', '1', '--batch', '3', '--tile', '340'],
      ...['--json', ...cache],
    ]);
    expect(JSON.parse(requested.stdout).compute).toEqual({
      lanes: 1,
      threads: 2,
      batchPx: 3 * 340 * 340,
      measured: false,
    });
  }, 240_000); // every way takes its time

  it('prints a table for people', async () => {
    const cache = ['--cache-dir', join(await testFolder(), 'cache')];
    const { code, stdout } = await unseam(['bench', 'shapes-notebook', '--threads', '1', ...cache]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ +output +tiles +lanes +threads +Mpx\/s\n +192 +1 +1 +1 +\d+\.\d{3}\n/);
    expect(stdout).toMatch(
      /\nfastest: outputs of \d+ px, 1 lane of 1 thread, \d+\.\d\d Mpx\/s\ncpu \(1 thread\)/,
    );
    const shown = await unseam(['models', 'show', 'shapes-notebook', ...cache]);
    expect(shown.code).toBe(0);
  });
});
