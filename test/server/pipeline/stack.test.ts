import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobSpec } from '../../../server/contract/job-spec.js';
import type { ResultFile } from '../../../server/contract/outputs.js';
import type { JobProgress } from '../../../server/contract/schemas/job.js';
import type { Segmenter } from '../../../server/pipeline/segmenter.js';
import { TiffSink } from '../../../tiling/sinks/tiff/tiff.js';
import { openImage } from '../../../tiling/sources/open.js';
import { stackFor } from '../../../tiling/stack.js';
import { testFolder } from '../../support/files.js';
import { MODELS } from '../../support/product.js';
import { firstDifference, pattern } from '../../support/rasters.js';
import { startSegmenter } from '../../support/segmenters.js';

const scratchDir = await testFolder();
const input = join(scratchDir, 'stack.ome.tif');
const size = { width: 210, height: 190 };
const stack = { sizeZ: 3, sizeT: 2 };
let segmenter: Segmenter;
let close: () => Promise<void>;

beforeAll(async () => {
  const format = { channels: 1, dtype: 'uint8', mpp: { x: 0.5, y: 0.5 }, overviews: 'mean', stack } as const;
  const sink = await TiffSink.create(input, size, format);
  for (let plane = 0; plane < stack.sizeZ * stack.sizeT; plane++) {
    const { data } = pattern(size.width, size.height);
    const own = (data as Uint8Array).map((value, i) => (value + 31 * plane * (1 + (i % 3))) & 255);
    await sink.writeBand({ x: 0, y: 0, ...size }, own, plane);
  }
  await sink.finish();
  ({ segmenter, close } = await startSegmenter(
    { modelsDir: MODELS, engine: { provider: 'cpu', threads: 2 } },
    { maxPixels: 6 * size.width * size.height },
  ));
});
afterAll(() => close());

const job = (name: string, results: readonly ResultFile[], more: Partial<JobSpec> = {}): JobSpec => ({
  id: name,
  model: 'em-membrane',
  priority: 'normal',
  input,
  scratchDir,
  singleFile: true,
  choice: { z: 'all', t: 'all' },
  tile: { width: 188, height: 188 },
  symmetries: false,
  scale: false,
  background: null,
  journal: null,
  results,
  ...more,
});
const results = (name: string): ResultFile[] =>
  (
    [
      ['labels', 'tiff', 'tif'],
      ['probabilities', 'tiff', 'p.tif'],
      ['geojson', 'geojson', 'geojson'],
      ['objects', 'csv', 'csv'],
      ['instances', 'tiff', 'ids.tif'],
      ['labels', 'zarr', 'ozx'],
      ['probabilities', 'zarr', 'p.ozx'],
    ] as const
  ).map(([output, format, ending]) => ({ output, format, path: join(scratchDir, `${name}.${ending}`) }));
const labels = (name: string) => results(name).slice(0, 1);
const never = new AbortController().signal;
const bytesOf = (name: string) => Promise.all(results(name).map(({ path }) => readFile(path)));

describe('a job of a stack', () => {
  it('has the planes of the jobs of each, and states which they are', async () => {
    const receipt = await segmenter.run({ ...job('all', results('all')), signal: never });
    expect(receipt.image.stack).toEqual({ z: '0-2', t: '0-1', ...stack });
    expect(receipt.areas!.reduce((sum, { pixels }) => sum + pixels, 0)).toBe(6 * size.width * size.height);
    for (const { output, path } of results('all').slice(0, 2)) {
      const mask = await openImage(path, {
        scratchDir,
        maxPixels: 1e9,
        values: 'stored',
        z: 'all',
        t: 'all',
      });
      const planes = stackFor(mask, { z: 'all', t: 'all' })!;
      for (const [i, choice] of planes.planes.entries()) {
        const single = results('single').filter((result) => result.output === output);
        await segmenter.run({ ...job('single', single, { choice }), signal: never });
        const alone = await openImage(single[0]!.path, { scratchDir, maxPixels: 1e9, values: 'stored' });
        const [own, other] = [await planes.source(i).readRegion(WHOLE), await alone.readRegion(WHOLE)];
        expect(firstDifference(own.data, other.data)).toBe(-1);
        await alone.close();
      }
      await planes.close();
      await mask.close();
    }
  });

  it('as OME-Zarr has the planes of the TIFF, by its axes t and z', async () => {
    const files = (['labels', 'probabilities'] as const).flatMap((output): ResultFile[] => [
      { output, format: 'zarr', path: join(scratchDir, `${output}.zarr`), isFolder: true },
      { output, format: 'tiff', path: join(scratchDir, `${output}.tif`) },
    ]);
    await segmenter.run({ ...job('zarr', files), signal: never });
    for (const [zarr, tiff] of [files.slice(0, 2), files.slice(2)]) {
      for (const t of [0, 1]) {
        for (const z of [0, 1, 2]) {
          const options = { scratchDir, maxPixels: 1e9, values: 'stored', z, t } as const;
          const [own, other] = [await openImage(zarr!.path, options), await openImage(tiff!.path, options)];
          expect(own.facts.stack).toEqual(stack);
          const pixels = [await own.readRegion(WHOLE), await other.readRegion(WHOLE)];
          expect(firstDifference(pixels[0]!.data, pixels[1]!.data)).toBe(-1);
          await Promise.all([own.close(), other.close()]);
        }
      }
    }
  });

  it('that ends within a plane resumes there, and its files have the same bytes', async () => {
    const journal = join(scratchDir, 'bands');
    const stop = new AbortController();
    let latest: JobProgress | null = null;
    const onProgress = (progress: JobProgress) => {
      latest = progress;
      if (progress.planesDone >= 2) stop.abort(new Error('killed'));
    };
    const killed = job('killed', results('killed'), { journal });
    await expect(segmenter.run({ ...killed, signal: stop.signal, onProgress })).rejects.toThrow('killed');
    expect(latest).toMatchObject({ planes: 6 });
    const { tiles } = await segmenter.run({ ...killed, signal: never });
    expect(tiles.replayed).toBeGreaterThan(0);
    expect(tiles.computed + tiles.constant + tiles.identical).toBeGreaterThan(0);
    const [whole, resumed] = [await bytesOf('all'), await bytesOf('killed')];
    expect(resumed.map((bytes, i) => bytes.equals(whole[i]!))).toEqual(whole.map(() => true));
  });

  it('of some planes has those, in their order', async () => {
    const choice = {
      z: [
        [0, 0],
        [2, 2],
      ],
      t: 1,
    } as const;
    const receipt = await segmenter.run({ ...job('some', labels('some'), { choice }), signal: never });
    expect(receipt.image.stack).toEqual({ z: '0,2', t: '1', sizeZ: 2, sizeT: 1 });
    const read = async (name: string, plane: { z: number; t: number }) => {
      const [{ path }] = labels(name) as [ResultFile];
      const mask = await openImage(path, { scratchDir, maxPixels: 1e9, values: 'stored', ...plane });
      const { data } = await mask.readRegion(WHOLE);
      await mask.close();
      return data;
    };
    expect(firstDifference(await read('some', { z: 1, t: 0 }), await read('all', { z: 2, t: 1 }))).toBe(-1);
  });

  it('in the pixel size of the model has masks in the size of the image', async () => {
    const choice = { z: 'all', t: 0, mpp: { x: 0.003, y: 0.003 } } as const;
    const scaled = job('scaled', labels('scaled'), { choice, scale: true });
    const receipt = await segmenter.run({ ...scaled, signal: never });
    expect(receipt.scale!.width).not.toBe(size.width);
    const [{ path }] = labels('scaled') as [ResultFile];
    const mask = await openImage(path, { scratchDir, maxPixels: 1e9, values: 'stored' });
    expect([mask.size, mask.facts.stack]).toEqual([size, { sizeZ: 3, sizeT: 1 }]);
    await mask.close();
  });

  it('is refused as a picture of one plane, and where tissue is to be found in it', async () => {
    const overlay: ResultFile = { output: 'overlay', format: 'png', path: join(scratchDir, 'overlay.png') };
    const running = segmenter.run({ ...job('overlay', [overlay]), signal: never });
    await expect(running).rejects.toThrow('overlay is a picture of one plane: choose that with z and t');
    const png: ResultFile = { output: 'labels', format: 'png', path: join(scratchDir, 'labels.png') };
    await expect(segmenter.run({ ...job('png', [png]), signal: never })).rejects.toThrow(
      'labels of a stack are written as tiff, raw or zarr, not png',
    );
    const tissue = job('tissue', labels('tissue'), { background: 'auto' });
    await expect(segmenter.run({ ...tissue, signal: never })).rejects.toThrow(
      'tissue is not found in stacks',
    );
  });

  it('is planned with the tiles, the disk space and the limit of all its planes', async () => {
    const one = await segmenter.plan({ ...job('one', []), choice: {} });
    const all = await segmenter.plan(job('all', []));
    expect(all.plan.tiles).toBe(6 * one.plan.tiles);
    expect(all.expected.diskBytes).toBe(6 * one.expected.diskBytes);
    expect(all.expected.memoryBytes).toBe(one.expected.memoryBytes);
    expect(all.plan.haloShare).toBe(one.plan.haloShare);
  });

  it('has a limit of files as OME-Zarr, which is checked before it is computed', async () => {
    const facts = { channels: 1, dtype: 'uint8', channelNames: null, mpp: null, notes: [] } as const;
    const many = { ...facts, stack: { sizeZ: 65_536, sizeT: 1 } };
    const header = { size: { width: 300, height: 1 }, facts: many, overviews: [] };
    const planAs = (format: 'zarr' | 'tiff') =>
      segmenter.plan({ ...job('many', []), outputs: [{ output: 'probabilities', format }] }, header);
    await expect(planAs('zarr')).rejects.toThrow('this stack would be an OME-Zarr of 262,149 files');
    expect((await planAs('tiff')).plan.tiles).toBeGreaterThanOrEqual(65_536);
  });
});

const WHOLE = { x: 0, y: 0, ...size };
