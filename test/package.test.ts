import { execFile } from 'node:child_process';
import { readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { testFolder } from './support/files.js';

const run = promisify(execFile);

it('the npm package segments an image when installed in an empty folder', async () => {
  const folder = await testFolder();
  const packed = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]);
  const [{ filename, files }] = JSON.parse(packed.stdout) as [
    { filename: string; files: readonly { path: string }[] },
  ];
  expect(files.filter(({ path }) => /\.(ts|map)$|^(test|bench|loadtest)\//.test(path))).toEqual([]);
  await run('tar', ['-xzf', join(folder, filename), '-C', folder]);
  await symlink(join(process.cwd(), 'node_modules'), join(folder, 'node_modules'));
  const { bin } = JSON.parse(await readFile(join(folder, 'package', 'package.json'), 'utf8'));
  const home = join(folder, 'home');
  const unseam = (...args: string[]) =>
    run(process.execPath, [join(folder, 'package', bin.unseam), ...args], {
      cwd: folder,
      env: { ...process.env, HOME: home, XDG_CACHE_HOME: undefined, ORT_DISABLE_TELEMETRY: undefined },
    });
  await unseam('samples', '-o', '.', '-s', '200x150', '-n', '1');
  await unseam('segment', 'images/shapes-0001.png', '-o', 'mask.png', '-m', 'shapes');
  const { width, height } = await sharp(join(folder, 'mask.png')).metadata();
  expect([width, height]).toEqual([200, 150]);
  // ONNX Runtime's telemetry would leave a file here.
  expect(await readdir(join(home, '.cache'))).toEqual(['unseam']);
});
