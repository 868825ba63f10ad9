import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { SlideFolder } from '../../../server/http/slides.js';
import { testFolder } from '../../support/files.js';

const folder = await testFolder();
const root = join(folder, 'slides');
const slides = new SlideFolder(root);
const all = { slides: null };
beforeAll(async () => {
  for (const name of ['slides/ward', 'slides/ward-b', 'slides-of-others'])
    await mkdir(join(folder, name), { recursive: true });
  for (const name of ['slides/ward/a.svs', 'slides/ward-b/b.svs', 'slides-of-others/c.svs', 'secret.txt'])
    await writeFile(join(folder, name), '');
  await symlink(join(folder, 'secret.txt'), join(root, 'link.svs'));
  await symlink(folder, join(root, 'up'));
  await symlink(join(root, 'ward'), join(root, 'inside'));
  await symlink(join(root, 'ward-b'), join(root, 'ward', 'next'));
});

it('a path is that of a file below the folder of slides', async () => {
  const expected = join(root, 'ward', 'a.svs');
  for (const path of ['ward/a.svs', './ward/../ward/a.svs', expected, 'inside/a.svs'])
    expect(await slides.locate(path, all)).toBe(expected);
});

it.each([
  '../secret.txt',
  'ward/../../secret.txt',
  '../slides-of-others/c.svs',
  'link.svs',
  'up/secret.txt',
  '/etc/passwd',
  'ward/none.svs',
  '..',
])('%s leads outside, or nowhere, which looks the same', async (path) => {
  await expect(slides.locate(path, all)).rejects.toMatchObject({
    code: 'not-found',
    message: `there is no "${path}" in the folder of slides`,
  });
});

it('a token for a part of the folder has that part alone', async () => {
  const part = { slides: 'ward' };
  expect(await slides.locate('ward/a.svs', part)).toBe(join(root, 'ward', 'a.svs'));
  for (const path of [
    'ward-b/b.svs',
    'ward/../ward-b/b.svs',
    'ward/next/b.svs',
    join(root, 'ward-b', 'b.svs'),
    '.',
  ])
    await expect(slides.locate(path, part)).rejects.toMatchObject({ code: 'not-found' });
});
