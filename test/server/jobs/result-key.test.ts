import { appendFile, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { ModelShelf } from '../../../model/shelf/shelf.js';
import { EVERYONE } from '../../../server/access/principal.js';
import type { JobRequest, JobSource } from '../../../server/jobs/job.js';
import { type Keyed, ResultKeys } from '../../../server/jobs/result-key.js';
import { testFolder } from '../../support/files.js';
import { MODELS } from '../../support/product.js';

const folder = await testFolder();
const [models, slide, mask] = [join(folder, 'models'), join(folder, 'slide.tif'), join(folder, 'mask.png')];
const upload: JobSource = { kind: 'upload', name: 'a.tif', bytes: 5, sha256: 'ab' };
const onDisk: JobSource = { kind: 'path', path: slide, name: 'slide.tif' };
const request: JobRequest = {
  model: 'shapes/1',
  choice: {},
  tile: 'auto',
  symmetries: false,
  threshold: null,
  scale: false,
  background: null,
  outputs: [{ output: 'labels', format: 'tiff' }],
  simplify: 0,
};
const work: Keyed = { owner: EVERYONE, source: upload, request };
const keyOf = (changes: Partial<Keyed> = {}, environment: unknown = { versions: { unseam: '1' } }) =>
  new ResultKeys(new ModelShelf(models), () => environment).of({ ...work, ...changes });

beforeEach(async () => {
  await cp(join(MODELS, 'shapes'), join(models, 'shapes'), { recursive: true });
  await writeFile(slide, 'slide');
  await writeFile(mask, 'mask');
});

describe('the key of results', () => {
  it('is the same for the same image, model and options, whatever the name of the upload', async () => {
    expect(await keyOf()).toMatch(/^[0-9a-f]{64}$/);
    expect(await keyOf({ source: { ...upload, name: 'b.tif' } })).not.toBeNull();
    expect(await keyOf({ source: { ...upload, name: 'b.tif' } })).toBe(await keyOf());
    expect(await keyOf({ source: onDisk })).toBe(await keyOf({ source: onDisk }));
  });

  it('is another one for another owner, version, processor, image or option', async () => {
    const background = { mask };
    const keys = [
      await keyOf(),
      await keyOf({ owner: 'somebody' }),
      await keyOf({}, { versions: { unseam: '2' } }),
      await keyOf({ source: { ...upload, sha256: 'cd' } }),
      await keyOf({ source: onDisk }),
      await keyOf({ request: { ...request, background } }),
      await keyOf({ request: { ...request, background: 'auto' } }),
      await keyOf({ request: { ...request, choice: { range: [0, 4095] } } }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  it.each<[string, string, Partial<Keyed>]>([
    ['slide', slide, { source: onDisk }],
    ['tissue mask', mask, { request: { ...request, background: { mask } } }],
  ])('changes with the %s', async (_name, path, changes) => {
    const before = await keyOf(changes);
    await appendFile(path, 'more');
    expect(await keyOf(changes)).not.toBe(before);
  });

  it.each(['card.json', 'model.json'])('changes with the %s of the model', async (name) => {
    const before = await keyOf();
    const path = join(models, 'shapes', '1', name);
    await writeFile(path, (await readFile(path, 'utf8')).replace(/\}\s*$/, ',"note":1}'));
    expect(await keyOf()).not.toBe(before);
  });

  it.each<[string, JobSource]>([
    ['on another server', { kind: 'url', url: 'https://images.test/a.tif' }],
    ['that is a folder', { kind: 'path', path: join(folder, 'image.zarr'), name: 'image.zarr' }],
    ['that is gone', { kind: 'path', path: join(folder, 'none.tif'), name: 'none.tif' }],
    ['whose digest is not known', { ...upload, sha256: null }],
  ])('does not exist for an image %s', async (_name, source) => {
    await mkdir(join(folder, 'image.zarr'), { recursive: true });
    expect(await keyOf({ source })).toBeNull();
  });
});
