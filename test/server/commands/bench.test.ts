import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { testFolder } from '../../support/files.js';
import { unseam } from '../../support/product.js';

const folder = await testFolder();

it('a memory into which nothing fits is refused, and nothing is stored', async () => {
  const cacheDir = join(folder, 'cache');
  const bench = ['bench', 'shapes', '--memory', '100M', '--cache-dir', cacheDir];
  expect(await unseam(bench)).toMatchObject({ code: 4, stderr: expect.stringContaining('raise --memory') });
  expect(await readdir(cacheDir)).not.toContain('tunings.json');
});

it('a cache folder that cannot be made is reported', async () => {
  await writeFile(join(folder, 'file'), '');
  const show = ['models', 'show', 'shapes', '--cache-dir', join(folder, 'file', 'cache')];
  expect(await unseam(show)).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('what is measured of this machine is not stored'),
  });
});
