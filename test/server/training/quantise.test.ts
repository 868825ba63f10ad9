import { cp, mkdir, readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect, it, vi } from 'vitest';
import { Engine } from '../../../model/engine/engine.js';
import { ModelChoiceError } from '../../../model/errors.js';
import { ModelShelf } from '../../../model/shelf/shelf.js';
import { findImages } from '../../../server/training/data/dataset-files.js';
import { quantise } from '../../../server/training/quantise.js';
import { testFolder } from '../../support/files.js';
import { MODELS } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';

const root = await testFolder();

/** A shelf of one model, and images to calibrate it with. */
async function shelfWithImages(name: string) {
  const folder = join(root, name);
  const images = join(folder, 'images');
  await mkdir(images, { recursive: true });
  const { data, ...size } = pattern(96, 96);
  await sharp(Buffer.from(data), { raw: { width: size.width, height: size.height, channels: 1 } })
    .toColourspace('b-w')
    .toFile(join(images, 'a.png'));
  await cp(join(MODELS, 'shapes'), join(folder, 'models', 'shapes'), { recursive: true });
  const shelf = new ModelShelf(join(folder, 'models'));
  const model = await shelf.find('shapes');
  const run = async (engine: Engine) =>
    quantise({
      engine,
      model,
      target: shelf.quantisedOf(model),
      images: await findImages(images),
      dataset: null,
      open: { scratchDir: root, maxPixels: 1e6 },
    });
  const versionsFolder = join(folder, 'models', 'shapes');
  return { run, folder: versionsFolder, versions: () => readdir(versionsFolder) };
}

it('a quantised version is tested with the threads of the lanes that compute it', async () => {
  const { run } = await shelfWithImages('lanes');
  const engine = Engine.start({ provider: 'cpu', threads: 2, lanes: 2 });
  const tested = vi.spyOn(engine, 'tested');
  try {
    expect((await run(engine)).exact).toBe(true);
    expect(tested.mock.calls.map(([, , threads]) => threads)).toEqual([1]);
  } finally {
    await engine.close();
  }
});

it('what a killed run left is removed a day later', async () => {
  const { run, folder, versions } = await shelfWithImages('stale');
  for (const [name, age] of [
    ['old', 25 * 3600],
    ['new', 60],
  ] as const) {
    const draft = join(folder, `.1-int8.${name}.partial`);
    await mkdir(draft);
    await utimes(draft, Date.now() / 1000 - age, Date.now() / 1000 - age);
  }
  const engine = Engine.start({ provider: 'cpu', threads: 1 });
  try {
    await run(engine);
    expect((await versions()).sort()).toEqual(['.1-int8.new.partial', '1', '1-int8']);
  } finally {
    await engine.close();
  }
});

it('of two that quantise a version at the same time, one succeeds, and the other leaves nothing', async () => {
  const { run, versions } = await shelfWithImages('twice');
  const engines = [1, 2].map(() => Engine.start({ provider: 'cpu', threads: 1 }));
  try {
    const outcomes = await Promise.allSettled(engines.map(run));
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    expect(failed?.reason).toBeInstanceOf(ModelChoiceError);
    expect(await versions()).toEqual(['1', '1-int8']);
  } finally {
    await Promise.all(engines.map((engine) => engine.close()));
  }
});
