import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Raster } from '../../../tiling/raster.js';
import { hash } from '../../../tiling/samples/random.js';
import { memorySource } from '../../../tiling/sources/memory.js';
import { openImage } from '../../../tiling/sources/open.js';
import { ImageStatistics, type Statistic, type ValueMap } from '../../../tiling/statistics/statistics.js';
import { testFolder } from '../../support/files.js';
import { pattern } from '../../support/rasters.js';
import { writeTestTiff } from '../../support/tiff.js';
import { writeTestZarr } from '../../support/zarr.js';

const IDENTITY: ValueMap = {
  shift: 0,
  factor: 1,
  low: Number.NEGATIVE_INFINITY,
  high: Number.POSITIVE_INFINITY,
};
const each = (channels: number, map = IDENTITY) =>
  Array.from({ length: channels }, (_, c) => ({ channels: [c], map }));
const measure = (raster: Raster, statistic: Statistic, groups = each(raster.channels)) => {
  const { facts, ...reader } = memorySource(raster);
  return new ImageStatistics({ reader, facts }).measure(statistic, groups);
};

/** Percentiles by their definition: of all values, sorted. */
function percentilesOf(
  values: readonly number[],
  percentiles: readonly number[],
  isFloat: boolean,
): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  return percentiles.map((percentile) => {
    const place = (sorted.length - 1) * (percentile / 100);
    const [a, b] = [sorted[Math.floor(place)]!, sorted[Math.min(sorted.length - 1, Math.floor(place) + 1)]!];
    const [share, step] = [place - Math.floor(place), isFloat ? Math.fround(b - a) : b - a];
    return share >= 0.5 ? b - step * (1 - share) : a + step * share;
  });
}
const channel = ({ data, channels }: Raster, c: number): number[] =>
  Array.from(data).filter((_, i) => i % channels === c);

/** Floats of all magnitudes and both signs. */
function floats(width: number, height: number, channels: number): Raster {
  const data = Float32Array.from({ length: width * height * channels }, (_, i) => {
    const bits = hash(i, 7, 3);
    return ((bits & 1) - 0.5) * (bits % 1000) * 2 ** ((bits >>> 12) % 60) * 2 ** -40;
  });
  return { data, width, height, channels };
}

const IMAGES: readonly [string, Raster][] = [
  ['8 bits', pattern(61, 47, 3)],
  ['16 bits', pattern(130, 90, 2, 'uint16')],
  ['floats', floats(97, 60, 2)],
  ['one pixel', { data: Uint16Array.of(7), width: 1, height: 1, channels: 1 }],
];

describe('percentiles', () => {
  it.each(IMAGES)('are those of all values, sorted: %s', async (_name, raster) => {
    for (const percentiles of [
      [0, 100],
      [1, 99.8],
      [25, 50],
      [3.3, 66.6],
    ] as const) {
      const found = await measure(raster, { percentiles });
      for (const [c, pair] of found.entries()) {
        expect(pair).toEqual(
          percentilesOf(channel(raster, c), percentiles, raster.data instanceof Float32Array),
        );
      }
    }
  });

  it('of several channels are those of all of their values', async () => {
    const raster = floats(40, 30, 3);
    const all = Array.from(raster.data);
    const [found] = await measure(raster, { percentiles: [2, 98] }, [{ channels: [0, 1, 2], map: IDENTITY }]);
    expect(found).toEqual(percentilesOf(all, [2, 98], true));
  });

  it.each([pattern(50, 40), floats(50, 40, 1)])(
    'of mapped values are those of what they become',
    async (raster) => {
      for (const map of [
        { ...IDENTITY, shift: 100, factor: -0.03125 },
        { shift: 30, factor: 0.25, low: -2, high: 20 },
      ]) {
        const values = channel(raster, 0).map((v) =>
          Math.min(map.high, Math.max(map.low, (v - map.shift) * map.factor)),
        );
        const [found] = await measure(raster, { percentiles: [10, 91.7] }, each(1, map));
        expect(found).toEqual(percentilesOf(values, [10, 91.7], false));
      }
    },
  );
});

describe('mean and deviation', () => {
  it.each(IMAGES)('are those of all values: %s', async (_name, raster) => {
    const found = await measure(raster, 'moments');
    for (const [c, [mean, deviation]] of found.entries()) {
      const values = channel(raster, c);
      const expected = values.reduce((sum, v) => sum + v, 0) / values.length;
      const variance = values.reduce((sum, v) => sum + (v - expected) ** 2, 0) / values.length;
      expect(Math.abs(mean - expected)).toBeLessThanOrEqual(1e-12 * Math.abs(expected));
      expect(Math.abs(deviation - Math.sqrt(variance))).toBeLessThanOrEqual(1e-12 * deviation);
    }
  });

  it('are the same in any order, where large values cancel each other', async () => {
    const values = [3e38, 1, -3e38, 1e-45, 2 ** -126, 5, -1e20, 1e20];
    const raster = (list: number[]) => ({
      data: Float32Array.from(list),
      width: list.length,
      height: 1,
      channels: 1,
    });
    const [[mean]] = (await measure(raster(values), 'moments')) as [[number, number]];
    expect(mean).toBe((6 + 2 ** -126 + 2 ** -149) / 8);
    expect(await measure(raster(values.toReversed()), 'moments')).toEqual(
      await measure(raster(values), 'moments'),
    );
  });

  it('of clipped values are those of what they become', async () => {
    const map = { shift: 100, factor: 0.5, low: 0, high: 10 };
    for (const raster of [
      pattern(50, 40),
      { ...pattern(50, 40), data: Float32Array.from(pattern(50, 40).data) },
    ]) {
      const values = channel(raster, 0).map((v) => Math.min(10, Math.max(0, (v - 100) / 2)));
      const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
      expect((await measure(raster, 'moments', each(1, map)))[0]![0]).toBeCloseTo(mean, 12);
    }
  });
});

describe('statistics', () => {
  it('are the same however an image is stored', async () => {
    const folder = await testFolder();
    const raster = pattern(700, 530, 2, 'uint16');
    const ways = [
      { compression: 1 },
      { compression: 8, tile: { width: 64, height: 48 }, planar: true },
      { compression: 8, tile: { width: 256, height: 256 } },
    ];
    const paths: string[] = [];
    for (const [i, options] of ways.entries()) {
      paths.push(join(folder, `${i}.tif`));
      await writeTestTiff(paths[i]!, raster, { ...options, photometric: 1 });
    }
    paths.push(join(folder, 'image.zarr'));
    await writeTestZarr(paths.at(-1)!, [raster]);
    for (const statistic of ['moments', { percentiles: [1, 99.8] }] as const) {
      const expected = await measure(raster, statistic);
      for (const path of paths) {
        const image = await openImage(path, { scratchDir: folder, maxPixels: 1e7 });
        const found = await new ImageStatistics({ reader: image, facts: image.facts }).measure(
          statistic,
          each(2),
        );
        expect(found).toEqual(expected);
        await image.close();
      }
    }
  });

  it('are refused where a value is no number, with its place', async () => {
    const raster = floats(30, 20, 2);
    raster.data[(12 * 30 + 5) * 2 + 1] = Number.NaN;
    await expect(measure(raster, 'moments')).rejects.toThrow('NaN at column 5, row 12, channel 1');
    raster.data[(12 * 30 + 5) * 2 + 1] = Number.POSITIVE_INFINITY;
    await expect(measure(raster, { percentiles: [0, 100] })).rejects.toMatchObject({ code: 'corrupt-image' });
  });

  it('are reported while they are counted, and end when they are aborted', async () => {
    const { facts, ...reader } = memorySource(pattern(600, 1100));
    const seen: number[] = [];
    const aborted = new AbortController();
    await new ImageStatistics({ reader, facts, onProgress: (px) => seen.push(px) }).measure(
      'moments',
      each(1),
    );
    expect(seen).toEqual([600 * 512, 600 * 1024, 600 * 1100]);
    const onProgress = () => aborted.abort(new Error('stop'));
    const pending = new ImageStatistics({ reader, facts, onProgress, signal: aborted.signal });
    await expect(pending.measure('moments', each(1))).rejects.toThrow('stop');
  });
});
