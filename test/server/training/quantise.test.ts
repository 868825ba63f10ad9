import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect, it, vi } from 'vitest';
import { Engine } from '../../../model/engine.js';
import { ModelShelf } from '../../../model/shelf.js';
import { findImages } from '../../../server/training/data/dataset-files.js';
import { quantise } from '../../../server/training/quantise.js';
import { testFolder } from '../../support/files.js';
import { MODELS } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';

const root = await testFolder();

it('a quantised version is tested with the threads of the lanes that compute it', async () => {
  const images = join(root, 'images');
  await mkdir(images);
  const { data, ...size } = pattern(96, 96);
  await sharp(Buffer.from(data), { raw: { width: size.width, height: size.height, channels: 1 } })
    .toColourspace('b-w')
    .toFile(join(images, 'a.png'));
  const models = join(root, 'models');
  await cp(join(MODELS, 'shapes'), join(models, 'shapes'), { recursive: true });
  const shelf = new ModelShelf(models);
  const model = await shelf.find('shapes');
  const engine = Engine.start({ provider: 'cpu', threads: 2, lanes: 2 });
  const tested = vi.spyOn(engine, 'tested');
  try {
    const quantised = await quantise({
      engine,
      model,
      target: shelf.quantisedOf(model),
      images: await findImages(images),
      dataset: null,
      open: { scratchDir: root, maxPixels: 1e6 },
    });
    expect(quantised.exact).toBe(true);
    expect(tested.mock.calls.map(([, , threads]) => threads)).toEqual([1]);
  } finally {
    await engine.close();
  }
});
