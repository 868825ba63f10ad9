import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { SlideFolder } from '../../../server/http/slides.js';
import { testFolder } from '../../support/files.js';

const folder = await testFolder();
const slides = join(folder, 'slides');
const locate = (path: string) => new SlideFolder(slides).locate(path, { slides: null });
beforeAll(async () => {
  await mkdir(join(slides, 'ward'), { recursive: true });
  await mkdir(join(folder, 'slides-of-others'));
  for (const name of ['slides/ward/a.svs', 'slides-of-others/b.svs', 'secret.txt'])
    await writeFile(join(folder, name), '');
  await symlink(join(folder, 'secret.txt'), join(slides, 'link.svs'));
  await symlink(folder, join(slides, 'up'));
  await symlink(join(slides, 'ward'), join(slides, 'inside'));
});

it('a path is that of a file below the folder of slides', async () => {
  const expected = join(slides, 'ward', 'a.svs');
  for (const path of ['ward/a.svs', './ward/../ward/a.svs', expected, 'inside/a.svs'])
    expect(await locate(path)).toBe(expected);
});

it.each([
  '../secret.txt',
  'ward/../../secret.txt',
  '../slides-of-others/b.svs',
  'link.svs',
  'up/secret.txt',
  '/etc/passwd',
  'ward/none.svs',
  '..',
])('%s leads outside, or nowhere, which looks the same', async (path) => {
  await expect(locate(path)).rejects.toMatchObject({
    code: 'not-found',
    message: `there is no "${path}" in the folder of slides`,
  });
});
