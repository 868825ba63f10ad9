import { execFile } from 'node:child_process';
import { readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { testFolder } from './support/files.js';

const run = promisify(execFile);

describe('the npm package, installed in an empty folder', async () => {
  const folder = await testFolder();
  let files: readonly { readonly path: string }[];
  beforeAll(async () => {
    const packed = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]);
    const [{ filename, ...rest }] = JSON.parse(packed.stdout) as [{ filename: string; files: typeof files }];
    ({ files } = rest);
    await run('tar', ['-xzf', join(folder, filename), '-C', folder]);
    await symlink(join(process.cwd(), 'node_modules'), join(folder, 'node_modules'));
  });

  it('has no sources, tests and source maps', () => {
    const isOurs = ({ path }: { readonly path: string }) =>
      /(?<!\.d)\.ts$|\.map$|^(dist\/)?(test|bench|loadtest)\//.test(path);
    expect(files.filter(isOurs)).toEqual([]);
  });

  it('segments an image', async () => {
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

  it('has the client, with its types, for browsers and for Node.js', async () => {
    const user = join(folder, 'package', 'user'); // within the package: its own name is what users write
    await writeFile(
      `${user}.ts`,
      `import { type Job, ProblemError, Unseam } from 'unseam/client';
const unseam = new Unseam({ url: 'http://127.0.0.1:9', token: 'x' });
export const width = async (): Promise<number> => {
  const job: Job = await unseam.jobs.create({ source: { path: 'a.tif' }, model: 'shapes', page: 0 });
  // @ts-expect-error a job has no such member
  job.nothing;
  // @ts-expect-error there is no such parameter
  await unseam.jobs.create({ source: { path: 'a.tif' }, modell: 'shapes' });
  return job.image.width;
};
await unseam.models().catch((error: unknown) => console.log(error instanceof ProblemError, (error as Error).name));
`,
    );
    const strict = [
      '--strict',
      '--target',
      'es2023',
      '--module',
      'nodenext',
      '--ignoreConfig',
      '--types',
      '',
    ];
    const tsc = join(folder, 'node_modules', '.bin', 'tsc');
    await run(tsc, [...strict, '--lib', 'es2023,dom,dom.iterable', `${user}.ts`]);
    const { stdout } = await run(process.execPath, [`${user}.js`]);
    expect(stdout).toBe('false TypeError\n');
  });
});
