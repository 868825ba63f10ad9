import { readdir, readlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Rect, Size } from '../../../tiling/geometry.js';
import { pixelArray, type Raster } from '../../../tiling/raster.js';
import type { ImageSource, PixelReader } from '../../../tiling/source.js';
import { firstDifference } from '../../support/rasters.js';

const RUNS = { numRuns: 25 };

/**
 * The contract of every `ImageSource`, as tests. A new one is one line in `contract.test.ts`.
 *
 * @param open opens a source for each test; at least 8 px a side
 * @param pixels of the image, if known exactly
 */
export function imageSourceContract(name: string, open: () => Promise<ImageSource>, pixels?: Raster): void {
  describe(name, () => {
    let source: ImageSource;
    /** The image's levels, the largest first. */
    let levels: readonly PixelReader[];

    beforeAll(async () => {
      source = await open();
      levels = [source, ...source.overviews];
    });
    afterAll(() => source?.close());

    it('has properties that can be sent to another process', () => {
      const { facts } = source;
      expect(structuredClone(facts)).toEqual(facts);
      expect(facts.channels).toBeGreaterThanOrEqual(1);
      if (facts.channelNames) expect(facts.channelNames.length).toBe(facts.channels);
      if (facts.mpp) expect(Math.min(facts.mpp.x, facts.mpp.y)).toBeGreaterThan(0);
      if (facts.fullSize) expect(facts.fullSize.width).toBeGreaterThan(source.size.width);
      expect(source.stored === undefined).toBe(facts.range === undefined);
    });

    it('has levels of decreasing size', () => {
      for (const [i, { size }] of levels.entries()) {
        const above = levels[i - 1]?.size ?? {
          width: Number.POSITIVE_INFINITY,
          height: Number.POSITIVE_INFINITY,
        };
        expect(Math.min(size.width, size.height)).toBeGreaterThanOrEqual(1);
        expect(size.width * size.height).toBeLessThan(above.width * above.height);
        expect([size.width <= above.width, size.height <= above.height]).toEqual([true, true]);
      }
    });

    it.runIf(pixels)('has the pixels of the image', async () => {
      expect(source.size).toEqual({ width: pixels!.width, height: pixels!.height });
      expect(firstDifference((await readAll(source)).data, pixels!.data)).toBe(-1);
    });

    it('returns rasters of its stated size, type and channels, on every level', async () => {
      const { channels, dtype } = source.facts;
      for (const level of levels) {
        const { data, ...raster } = await readAll(level);
        expect(raster).toEqual({ ...level.size, channels });
        expect(data.length).toBe(level.size.width * level.size.height * channels);
        expect(data.constructor).toBe(pixelArray(dtype, 0).constructor);
      }
    });

    it('returns any region as that part of the whole, on every level and of stored values', async () => {
      for (const reader of source.stored ? [...levels, source.stored] : levels) {
        const whole = await readAll(reader);
        const check = async (rect: Rect) => expectPart(await reader.readRegion(rect), whole, rect);
        for (const corner of corners(reader.size)) await check(corner);
        await fc.assert(fc.asyncProperty(rectIn(reader.size), check), RUNS);
      }
    });

    it('reads several regions at once', async () => {
      const whole = await readAll(source);
      const rects = fc.sample(rectIn(source.size), { seed: 1, numRuns: 40 });
      const regions = await Promise.all(rects.map((rect) => source.readRegion(rect)));
      for (const [i, region] of regions.entries()) expectPart(region, whole, rects[i]!);
    });

    it('returns an array that the caller owns', async () => {
      const whole = await readAll(source);
      const again = await readAll(source);
      again.data.fill(0);
      for (const rect of corners(source.size)) (await source.readRegion(rect)).data.fill(0);
      expectPart(await readAll(source), whole, { x: 0, y: 0, ...source.size });
    });

    it('rejects a read whose signal is already aborted, with its reason', async () => {
      const reason = new Error('no longer needed');
      const signal = AbortSignal.abort(reason);
      for (const level of levels) await expect(readAll(level, signal)).rejects.toBe(reason);
    });

    it('settles a read aborted in flight, and fails no other read', async () => {
      const own = await open();
      const all = { x: 0, y: 0, ...own.size };
      try {
        const reason = new Error('no longer needed');
        const stop = new AbortController();
        const stopped = readAll(own, stop.signal).catch((error: unknown) => error);
        const others = [readAll(own), readAll(own, new AbortController().signal)];
        stop.abort(reason);
        const whole = await readAll(source);
        for (const other of await Promise.all([...others, readAll(own)])) expectPart(other, whole, all);
        const end = await stopped;
        if (end instanceof Error) expect(end).toBe(reason);
        else expectPart(end as Raster, whole, all);
      } finally {
        await own.close();
      }
    });

    it.runIf(process.platform === 'linux')('has no open file after it is closed', async () => {
      const before = await openFiles();
      const own = await open();
      await readAll(own);
      await own.close();
      expect(await openFiles()).toEqual(before);
    });
  });
}

const readAll = (reader: PixelReader, signal?: AbortSignal): Promise<Raster> =>
  reader.readRegion({ x: 0, y: 0, ...reader.size }, signal);

/** Regions at the image's borders: single pixels, a row, a column. */
function corners({ width, height }: Size): Rect[] {
  return [
    { x: 0, y: 0, width: 1, height: 1 },
    { x: width - 1, y: height - 1, width: 1, height: 1 },
    { x: 0, y: height - 1, width, height: 1 },
    { x: width - 1, y: 0, width: 1, height },
  ];
}

/** Random regions of an image, including single pixels. */
function rectIn({ width, height }: Size): fc.Arbitrary<Rect> {
  const interval = (length: number) =>
    fc
      .tuple(fc.nat(length - 1), fc.nat(length - 1))
      .map(([a, b]) => ({ start: Math.min(a, b), length: Math.abs(a - b) + 1 }));
  return fc
    .tuple(interval(width), interval(height))
    .map(([x, y]) => ({ x: x.start, y: y.start, width: x.length, height: y.length }));
}

function expectPart(region: Raster, { data, width, channels }: Raster, rect: Rect): void {
  expect([region.width, region.height, region.channels]).toEqual([rect.width, rect.height, channels]);
  const part = new (data.constructor as typeof Float32Array)(rect.width * rect.height * channels);
  for (let row = 0; row < rect.height; row++) {
    const from = ((rect.y + row) * width + rect.x) * channels;
    part.set(data.subarray(from, from + rect.width * channels), row * rect.width * channels);
  }
  expect(firstDifference(region.data, part), JSON.stringify(rect)).toBe(-1);
}

/** The names of the files that this process has open, without sockets and pipes. */
async function openFiles(): Promise<string[]> {
  const links = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(links)).filter((name) => name.startsWith(tmpdir())).sort();
}
