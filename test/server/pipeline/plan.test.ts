import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobFacts } from '../../../server/contract/schemas/plan.js';
import type { RunningServer } from '../../../server/serve.js';
import { testFolder } from '../../support/files.js';
import { MODELS, testServer, unseam } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';
import { startSegmenter } from '../../support/segmenters.js';
import { writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
const models = join(folder, 'models');
const slide = join(folder, 'slide.tif');
let server: RunningServer;

/** Stained in its middle, pale gray around. */
const stained = (width: number, height: number) => {
  const { data } = pattern(width, height, 3);
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    const inside = x > width * 0.4 && x < width * 0.6 && y > height * 0.4 && y < height * 0.6;
    for (let c = 0; c < 3; c++)
      data[3 * i + c] = inside ? [190, 80, 150][c]! + (data[3 * i + c]! >> 4) : 235 + (data[3 * i]! >> 6);
  }
  return { data, width, height, channels: 3 };
};

beforeAll(async () => {
  // A model with a stated training pixel size.
  await mkdir(join(models, 'sized'), { recursive: true });
  await cp(join(MODELS, 'shapes', '1'), join(models, 'sized', '1'), { recursive: true });
  const path = join(models, 'sized', '1', 'card.json');
  const card = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify({ ...card, name: 'sized', micronsPerPixel: 0.5 }));
  const [whole, half] = [stained(1200, 900), stained(600, 450)];
  const resolution = { x: [40_000, 1] as [number, number], y: [40_000, 1] as [number, number], unit: 3 };
  await writeTestTiff(slide, whole, {
    tile: { width: 256, height: 256 },
    compression: 8,
    resolution,
    children: [half],
  });
  server = await testServer(join(folder, 'data'), { models, slides: folder, tileCacheBytes: null });
});
afterAll(() => server?.close());

const run = async (...args: string[]) => {
  const result = await unseam([...args, '--models', models]);
  expect(result).toMatchObject({ code: 0 });
  return JSON.parse(result.stdout);
};

const planOf = async (query: string, body: Uint8Array<ArrayBuffer>) => {
  const response = await fetch(`${server.url}/v1/plan?${query}`, { method: 'POST', body });
  return (await response.json()) as JobFacts & { readonly priority: string };
};

describe('a plan', () => {
  it('is the same from the command line and the server, and names mismatches with the model', async () => {
    const own = await run('plan', slide, '--json', '--threads', '2', '--device', 'cpu');
    const response = await fetch(`${server.url}/v1/plan`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ source: { path: 'slide.tif' } }),
    });
    const theirs = await response.json();
    const timeless = ({ expected, priority: _, ...plan }: typeof own) => {
      const { seconds: _seconds, jobsBefore: _before, ...others } = expected;
      return { ...plan, expected: others };
    };
    expect(theirs).toMatchObject({ priority: 'normal', expected: { jobsBefore: 0 } });
    expect(timeless(theirs)).toEqual(timeless(own));
    expect(own).toMatchObject({
      model: { name: 'sized' },
      image: { width: 1200, height: 900, channels: 3, mpp: { x: 0.25, y: 0.25 } },
      plan: { tiles: 6 },
      channels: 'luminance',
    });
    expect(own.warnings[0]).toMatch(
      /0.25 µm per pixel, and the model was trained at 0.5: mpp "auto" would scale it/,
    );
    expect(own.expected.memoryBytes).toBeGreaterThan(3e8);
    expect(own.expected.diskBytes).toBeGreaterThan(1200 * 900);
    expect(own.expected.seconds).toBeGreaterThan(0.01);
  });

  it('of an uploaded image is computed from its header, and leaves no files', async () => {
    const body = new Uint8Array(await readFile(slide));
    const response = await fetch(`${server.url}/v1/plan?tile=whole`, { method: 'POST', body });
    expect(await response.json()).toMatchObject({ plan: { tiles: 1 } });
    const wrong = await fetch(`${server.url}/v1/plan?tile=whole&memory=1`, { method: 'POST', body });
    expect(wrong.status).toBe(400);
  });

  it('includes the size of the requested outputs', async () => {
    const body = new Uint8Array(await readFile(slide));
    const plan = (query: string) => planOf(query, body);
    const labels = await plan('priority=bulk');
    const floats = await plan('output=probabilities&simplify=2');
    expect(floats.expected.diskBytes).toBeGreaterThan(8 * labels.expected.diskBytes);
    expect(floats.expected.memoryBytes).toBeGreaterThan(labels.expected.memoryBytes);
    expect(floats).toMatchObject({ outputs: [{ kind: 'probabilities', format: 'tiff' }], simplify: 2 });
    expect(labels.priority).toBe('bulk');
  });

  it('of an image that must be unpacked states this, for any pixel size', async () => {
    const sharp = (await import('sharp')).default;
    const png = await sharp({ create: { width: 60, height: 40, channels: 3, background: '#888' } })
      .png()
      .toBuffer();
    const plan = (query: string) => planOf(query, new Uint8Array(png));
    for (const query of ['', 'mpp=0.5', 'mpp=auto,0.25', 'range=0,200']) {
      expect((await plan(query)).expected.scratchBytes, query).toBeGreaterThanOrEqual(60 * 40 * 3);
    }
  });

  it('is measured with a tile that fits into memory', async () => {
    const { segmenter, close } = await startSegmenter(
      { modelsDir: models, memory: 5e8, engine: { provider: 'cpu', threads: 2 } },
      { maxPixels: 1e9 },
    );
    const work = { model: undefined, choice: {}, symmetries: false, scale: false, background: null };
    const spec = { ...work, input: slide, scratchDir: folder, tile: 'whole' as const };
    await expect(segmenter.estimate(spec)).rejects.toMatchObject({ code: 'too-little-memory' });
    await close();
  });

  it('that does not fit into memory is refused, with the required and available memory', async () => {
    const result = await unseam([
      'segment',
      slide,
      '-o',
      join(folder, 'x.png'),
      '--models',
      models,
      '--tile',
      'whole',
      '--memory',
      '500M',
    ]);
    expect([result.code, result.stderr]).toEqual([
      4,
      expect.stringMatching(/take about \d+ MB, and 524 MB are allowed/),
    ]);
  });
});

describe('mpp=auto', () => {
  it("scales the image to the model's pixel size, and the mask back to the image's", async () => {
    const outputs = ['labels=m.tif', 'geojson=m.geojson', 'objects=m.json'].map((also) => {
      const [output, name] = also.split('=') as [string, string];
      return ['--also', `${output}=${join(folder, name)}`];
    });
    const scaled = join(folder, 'scaled.png');
    const receipt = await run('segment', slide, '-o', scaled, '--mpp', 'auto', '--json', ...outputs.flat());
    expect(receipt).toMatchObject({
      image: { width: 1200, height: 900 },
      scale: { level: 1, width: 600, height: 450, mpp: { x: 0.5 } },
      plan: { tiles: 1 },
      warnings: [],
    });
    // The chosen level has that size: the expected mask is that of the level with each pixel doubled.
    const level = join(folder, 'level.png');
    await run('segment', slide, '-o', level, '--level', '1', '--json');
    const sharp = (await import('sharp')).default;
    const pixels = (path: string) => sharp(path).toColourspace('b-w').raw().toBuffer();
    const [large, small] = [await pixels(scaled), await pixels(level)];
    const wrong = large.findIndex(
      (v, i) => v !== small[(Math.floor(i / 1200) >> 1) * 600 + ((i % 1200) >> 1)],
    );
    expect(wrong).toBe(-1);
    const objects = JSON.parse(await readFile(join(folder, 'm.json'), 'utf8')) as { area_px: number }[];
    const counted = large.reduce((sum, value) => sum + (value > 0 ? 1 : 0), 0);
    expect(objects.reduce((sum, { area_px }) => sum + area_px, 0)).toBe(counted);
  });

  it('scales probabilities, and uses the pixel size of the user', async () => {
    const out = join(folder, 'p.tif');
    const [labels, alone] = [join(folder, 'with.tif'), join(folder, 'alone.tif')];
    const receipt = await run(
      'segment',
      slide,
      '-o',
      out,
      '--output',
      'probabilities',
      '--mpp',
      'auto,0.4',
      '--also',
      `labels=${labels}`,
      '--json',
    );
    expect(receipt).toMatchObject({
      scale: { level: 0, width: 960, height: 720 },
      image: { mpp: { x: 0.4 } },
    });
    await run('segment', slide, '-o', alone, '--mpp', 'auto,0.4', '--json');
    expect((await readFile(labels)).equals(await readFile(alone))).toBe(true);
  });
});

describe('skip-background', () => {
  it('skips tiles without tissue, reports their number, and leaves the others unchanged', async () => {
    const sharp = (await import('sharp')).default;
    const pixels = (path: string) => sharp(path).toColourspace('b-w').raw().toBuffer();
    const [all, some] = [join(folder, 'all.png'), join(folder, 'some.png')];
    expect((await run('segment', slide, '-o', all, '--tile', '188', '--json')).background).toBeNull();
    const receipt = await run('segment', slide, '-o', some, '--tile', '188', '--json', '--skip-background');
    expect(receipt.plan.tiles).toBe(130);
    expect(receipt.background.tilesSkipped).toBeGreaterThan(85);
    expect(receipt.background.tilesSkipped).toBeLessThan(130);
    expect(receipt.background.tissueShare).toBeCloseTo(0.04, 2);
    const [a, b] = [await pixels(all), await pixels(some)];
    // The middle, which contains the tissue, is unchanged.
    for (let y = 370; y < 530; y++)
      for (let x = 490; x < 710; x++) if (a[y * 1200 + x] !== b[y * 1200 + x]) throw new Error(`${x},${y}`);
    expect(b.subarray(0, 1200 * 90).every((value) => value === 0)).toBe(true);
    const mask = join(folder, 'tissue.png');
    await sharp({ create: { width: 12, height: 9, channels: 3, background: '#000' } })
      .png()
      .toFile(mask);
    const none = await run(
      'segment',
      slide,
      '-o',
      some,
      '--tile',
      '188',
      '--json',
      '--skip-background',
      mask,
    );
    expect(none.background).toEqual({ tilesSkipped: 130, tissueShare: 0, threshold: null });
    const body = new Uint8Array(await readFile(slide));
    const post = (query: string) =>
      fetch(`${server.url}/v1/segment?tile=188&${query}`, { method: 'POST', body });
    const skipped = await post('skip-background=tissue.png');
    expect(JSON.parse(skipped.headers.get('unseam-receipt')!).background).toEqual(none.background);
    expect((await post('skip-background=../tissue.png')).status).toBe(404);
  });
});
