import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { cardSchema } from '../../../model/shelf/card.js';
import { hash } from '../../../tiling/samples/random.js';
import { testFolder } from '../../support/files.js';
import { type Panel, writePanel } from '../../support/markers.js';
import { unseam } from '../../support/product.js';

const folder = await testFolder();
const [width, height] = [90, 80];
const names = Array.from({ length: 40 }, (_, i) => `marker ${i}`);

/** Forty channels of noise, dim ones and bright ones; cells are bright in the eighth. */
const panelOf = (seed: number): Panel => ({
  width,
  height,
  names,
  planes: names.map((_, c) =>
    Uint16Array.from({ length: width * height }, (_, at) => {
      const isCell = c === 7 && isIn(at);
      return ((hash(at, c, seed) >>> 20) + (isCell ? 20_000 : 0)) >> (c % 5);
    }),
  ),
});
const isIn = (at: number) => Math.hypot((at % width) - 40, Math.floor(at / width) - 35) < 20;
const shuffled = names.map((_, i) => (i * 7 + 3) % 40);

it('a model of forty channels is trained, and serves them in any order', async () => {
  const [images, labels, models] = ['images', 'labels', 'models'].map((name) => join(folder, name));
  for (const path of [images!, labels!]) await mkdir(path);
  for (const [i, order] of [shuffled, names.map((_, c) => c)].entries()) {
    await writePanel(join(images!, `${i}.ome.tif`), panelOf(i), order);
    const mask = Uint8Array.from({ length: width * height }, (_, at) => (isIn(at) ? 1 : 0));
    await sharp(mask, { raw: { width, height, channels: 1 } })
      .toColourspace('b-w')
      .png()
      .toFile(join(labels!, `${i}.png`));
  }
  const trained = await unseam([
    ...['train', '--name', 'panel', '--models', models!, '--scratch', folder, '--threads', '1'],
    ...['--images', images!, '--labels', labels!, '--classes', 'background,cell', '--range', 'auto'],
    ...[
      '--image-channels',
      [...names.slice(0, 39), 'marker 39|CD45'].join(),
      '--channels',
      '4,8',
      '--tile',
      '36',
    ],
    ...['--epochs', '1', '--epoch-steps', '2', '--batch', '1', '--validation', '1'],
  ]);
  if (trained.code !== 0) throw new Error(trained.stderr);
  expect(trained.stderr).toMatch(/2 images, .* 40 channels, 0 to/);
  const card = cardSchema.parse(JSON.parse(await readFile(join(models!, 'panel/1/card.json'), 'utf8')));
  expect(card).toMatchObject({ form: 3, inputChannels: 40 });
  expect(card.channels![39]).toEqual({ name: 'marker 39', aliases: ['CD45'] });
  expect(card.normalisation).toMatchObject([
    { step: 'scale_range', low: { length: 40 }, high: { length: 40 } },
    { step: 'clip', min: 0, max: 1 },
  ]);

  const [ordered, mixed] = [join(folder, 'ordered.ome.tif'), join(folder, 'mixed.ome.tif')];
  await writePanel(
    ordered,
    panelOf(1),
    names.map((_, c) => c),
  );
  await writePanel(mixed, { ...panelOf(1), names: names.map((name) => name.toUpperCase()) }, shuffled);
  const masks = [join(folder, 'ordered.png'), join(folder, 'mixed.png')];
  const segmented = await unseam([
    'segment',
    ordered,
    mixed,
    '-o',
    join(folder, 'masks'),
    '--models',
    models!,
    '--json',
  ]);
  expect(segmented).toMatchObject({ code: 0 });
  const receipts = segmented.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(receipts[1].channelIndexes).toEqual(names.map((_, c) => shuffled.indexOf(c)));
  for (const [i, { exact, result }] of receipts.entries()) {
    expect(exact).toBe(true);
    masks[i] = result;
  }
  expect((await readFile(masks[1]!)).equals(await readFile(masks[0]!))).toBe(true);
  const lacking = await unseam([
    'segment',
    join(labels!, '0.png'),
    '-o',
    join(folder, 'none.png'),
    '--models',
    models!,
  ]);
  expect(lacking.stderr).toMatch(/the image has no channel named "marker 0": its channel has no name/);
});

it('channels of images are not taken for feature channels', async () => {
  const refused = await unseam([
    'train',
    '--name',
    'x',
    '--images',
    'a',
    '--labels',
    'b',
    '--channels',
    'DAPI,CD45',
  ]);
  expect(refused.stderr).toMatch(/name the channels of the images with --image-channels DAPI,CD45/);
});
