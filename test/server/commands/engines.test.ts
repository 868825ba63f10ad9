import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { testFolder } from '../../support/files.js';
import { testServer, unseam, unseamHere } from '../../support/product.js';
import { ownCacheDir, tensorflow, titled } from '../../support/tensorflow.js';

const folder = await testFolder();
const image = join(folder, 'images', 'membranes-0001.png');
const segment = (...args: string[]) =>
  unseam(['segment', image, '-m', 'em-membrane', '-o', join(folder, 'mask.png'), ...args]);

beforeAll(async () => {
  const made = await unseamHere(['samples', '-o', folder, '-k', 'membranes', '-s', '300x200']);
  expect(made).toMatchObject({ code: 0 });
});

describe('--engine', () => {
  it('names an engine that is known', async () => {
    const result = await segment('--engine', 'torch');
    expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining('onnx, tensorflow') });
  });

  it.skipIf(tensorflow !== null)('says what an engine that is not set up needs', async () => {
    const result = await segment('--engine', 'tensorflow', '--cache-dir', join(folder, 'none'));
    expect(result).toMatchObject({
      code: 9,
      stderr: `unseam: TensorFlow is not set up in ${join(folder, 'none', 'tensorflow')}: run "unseam setup tensorflow --cache-dir ${join(folder, 'none')}", or take --engine onnx\n`,
    });
  });

  it.each([
    ['--lanes', '2'],
    ['--batch', '2'],
    ['--precision', 'fp16'],
    ['--dump-graphs', 'graphs'],
  ])('ignores no option of the other engine: %s', async (...option) => {
    const result = await segment('--engine', 'tensorflow', '--threads', '2', ...option);
    expect(result).toMatchObject({ code: 2, stderr: `unseam: ${option[0]} is for --engine onnx\n` });
  });

  it('makes quantised versions for our engine only', async () => {
    const result = await unseam([
      'models',
      'quantize',
      'em-membrane',
      '--images',
      image,
      '--engine',
      'tensorflow',
    ]);
    expect(result).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('quantised versions are made for onnx'),
    });
  });
});

describe.skipIf(!tensorflow)(titled('a slide on TensorFlow'), () => {
  it('has a receipt that states the engine, and how much tiles differ', async () => {
    const result = await segment(
      '--engine',
      'tensorflow',
      '--cache-dir',
      ownCacheDir!,
      '--tile',
      '212',
      '--json',
    );
    expect(result.code).toBe(0);
    const receipt = JSON.parse(result.stdout);
    expect(receipt).toMatchObject({
      device: expect.stringMatching(/^tensorflow cpu \(\d+ threads?\): .+, [a-z0-9]+$/),
      versions: { [tensorflow!.name]: tensorflow!.version, tensorflow: expect.any(String) },
      compute: { lanes: 1 },
    });
    expect(receipt.exact).toBe(receipt.largestDifference === 0);
    // its own choice of a tile is not granted where tiles of other sizes could differ
    expect(receipt.plan.tile === '212x212').toBe(receipt.exact);
  });

  it('is served, and the probe and metrics name the engine', async () => {
    const engine = { provider: 'cpu', tensorflow: tensorflow!, threads: 1, lanes: 1 } as const;
    const server = await testServer(join(folder, 'data'), { engine });
    try {
      const body = await readFile(image);
      const response = await fetch(`${server.url}/v1/segment?model=em-membrane`, { method: 'POST', body });
      expect(response.status).toBe(200);
      expect(JSON.parse(response.headers.get('unseam-receipt')!).device).toMatch(/^tensorflow /);
      expect(await (await fetch(`${server.url}/readyz`)).text()).toMatch(
        /^ok\ntensorflow: ok \(.+, fp32\)\n/,
      );
      const metrics = await (await fetch(`${server.url}/metrics`)).text();
      expect(metrics).toContain('unseam_engine_busy_seconds_total{device="tensorflow"}');
    } finally {
      await server.close();
    }
  });
});
