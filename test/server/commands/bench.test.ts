import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { Engine } from '../../../model/engine/engine.js';
import { testFolder } from '../../support/files.js';
import { unseam, unseamHere } from '../../support/product.js';
import { writeUntrained } from '../../support/untrained.js';

const folder = await testFolder();
const models = join(folder, 'models');
/** A network that is small enough to be computed in every way within seconds. */
const SMALL = { channels: [2, 4], convolutions: 1, inputChannels: 1, classes: 2, seed: 1 } as const;

beforeAll(async () => {
  const engine = await Engine.open({ provider: 'cpu', threads: 1 });
  await writeUntrained(engine, join(models, 'small', '1'), SMALL, 'small');
  await engine.close();
});

it('measures a model in every way, and what it stores is used', async () => {
  const cache = ['--cache-dir', join(folder, 'measured'), '--models', models];
  const before = await unseamHere(['models', 'show', 'small', ...cache]);
  expect(before.stdout).toMatch(/\nnot measured on this machine: unseam bench small\n$/);

  const measured = await unseam(['bench', 'small', '--threads', '2', '--json', ...cache]);
  expect(measured).toMatchObject({ code: 0, stderr: '' });
  const { choice, measurements, device } = JSON.parse(measured.stdout);
  expect(device).toMatch(/^cpu \(.*thread/);
  expect(new Set(measurements.map(({ lanes }: { lanes: number }) => lanes))).toEqual(new Set([1, 2]));
  for (const { mpxPerSecond } of measurements) expect(mpxPerSecond).toBeGreaterThan(0);

  const samples = join(folder, 'samples');
  await unseamHere(['samples', '-o', samples, '-s', '300x200', '-n', '1']);
  const image = join(samples, 'images', 'shapes-0001.png');
  const plan = await unseam(['plan', image, '-m', 'small', '--threads', '2', '--json', ...cache]);
  expect(JSON.parse(plan.stdout).compute).toMatchObject({
    lanes: choice.lanes,
    threads: choice.threads,
    batchPx: choice.batch,
    measured: true,
  });
  const requested = await unseam([
    'plan',
    image,
    ...['-m', 'small', '--threads', '2', '--lanes', '1', '--batch', '3', '--tile', '340'],
    ...['--json', ...cache],
  ]);
  expect(JSON.parse(requested.stdout).compute).toMatchObject({
    lanes: 1,
    threads: 2,
    batchPx: 3 * 340 * 340,
    measured: false,
  });
});

it('prints a table for people, and the choice with the model', async () => {
  const cache = ['--cache-dir', join(folder, 'printed'), '--models', models];
  const { code, stdout } = await unseam(['bench', 'small', '--threads', '1', ...cache]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^ +output +tiles +lanes +threads +Mpx\/s\n +192 +1 +1 +1 +\d+\.\d{3}\n/);
  expect(stdout).toMatch(/\nchosen: outputs of \d+ px, 1 thread, \d+\.\d\d Mpx\/s\ncpu \(1 thread\)/);
  const shown = await unseamHere(['models', 'show', 'small', '--threads', '1', ...cache]);
  expect(shown.stdout).toContain(/\nchosen: .*\n/.exec(stdout)![0]);
});

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
