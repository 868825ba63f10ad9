import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { NO_AUGMENTATION } from '../../../../model/train/augment.js';
import { openDataset } from '../../../../server/training/data/dataset.js';
import { countLabels, LabelCodec } from '../../../../server/training/data/labels.js';
import { Sampler } from '../../../../server/training/data/sampler.js';

import { testFolder } from '../../../support/files.js';
import { even } from '../../../support/rasters.js';

const folder = await testFolder();
const [width, height] = [24, 24];
/** Two cells that touch along a column, a separate one, and one in a corner. */
const numbers = Uint16Array.from({ length: width * height }, (_, at) => {
  const [x, y] = [at % width, Math.floor(at / width)];
  if (y < 4 || y > 19) return 0;
  if (x >= 2 && x < 8) return 300;
  if (x >= 8 && x < 14) return 7;
  return x >= 18 ? 40_000 : 0;
});

async function instances() {
  for (const part of ['images', 'labels']) {
    await mkdir(join(folder, part), { recursive: true });
    const raw = { raw: { width, height, channels: 1 as const } };
    const path = join(folder, part, 'cells.png');
    await sharp(numbers, raw).toColourspace('grey16').png().toFile(path);
  }
  const data = { images: join(folder, 'images'), labels: join(folder, 'labels') };
  const rules = { classes: 2, ignore: null, legend: null, inputChannels: 1, labelBorder: 'reflect' } as const;
  return openDataset(
    { ...data, ...rules, range: 'type', instances: true },
    { scratchDir: folder, maxPixels: 1e6 },
  );
}

describe('instance labels', () => {
  it('become background and cell, with a line of background between touching cells', async () => {
    await expect(instances()).resolves.toMatchObject({ pairs: [{ stem: 'cells' }] });
    const { pairs, codec } = await instances();
    const row = await pairs[0]!.labels.readRegion({ x: 0, y: 10, width, height: 1 });
    expect([...codec.decode(row)].join('')).toBe('001111100111110000111111');
    // a part of a row, whose neighbours are outside it
    const part = await pairs[0]!.labels.readRegion({ x: 7, y: 10, width: 2, height: 1 });
    expect([...codec.decode(part)]).toEqual([0, 0]);
  });

  it.each([
    ['of the whole image', false],
    ['of each crop', true],
  ])('weigh borders between cells of different numbers, %s', async (_name, live) => {
    const dataset = await instances();
    const sampler = await Sampler.create(dataset.pairs, dataset, {
      tile: 24,
      halo: even(0),
      batch: 1,
      epochSteps: 1,
      seed: 1,
      classWeights: [1, 1],
      augmentation: NO_AUGMENTATION,
      border: { w0: 10, sigma: 5, live },
    });
    const { weights } = await sampler.batch(0, 0);
    const at = (x: number) => weights[10 * width + x]!;
    const term = (d1: number, d2: number) => 10 * Math.exp(-((d1 + d2) ** 2) / 50);
    expect(at(7)).toBeCloseTo(1 + term(0, 1), 4); // in one cell, next to the other
    expect(at(15)).toBeCloseTo(1 + term(2, 3), 4); // between the second and the third
  });

  it('are suggested in the error for values outside the classes', () => {
    const counts = new Map<number, number>();
    countLabels({ data: numbers, width, height, channels: 1 }, counts);
    expect(() => new LabelCodec({ classes: 2, ignore: null, legend: null }, counts)).toThrow(/--instances/);
  });
});
