import { describe, expect, it } from 'vitest';
import { type Band, planTiles } from '../../tiling/plan.js';
import type { MaskSink } from '../../tiling/sink.js';
import { MemorySink } from '../../tiling/sinks/memory.js';
import { Stitcher } from '../../tiling/stitcher.js';
import { even, firstDifference, pattern } from '../support/rasters.js';

const rule = { halo: even(3), multiple: 4, smallest: 10 };

describe('split, then stitch', () => {
  it.each([
    [1, 1, 10, 10],
    [37, 23, 10, 10],
    [37, 23, 26, 14],
    [9000, 5, 26, 14],
    [40, 41, 50, 50],
  ])(
    'is the identity for %i×%i px in tiles of %i×%i, in any order',
    async (width, height, tileWidth, tileHeight) => {
      for (const channels of [1, 2]) {
        const image = pattern(width, height, channels);
        const plan = planTiles({ width, height }, { tile: { width: tileWidth, height: tileHeight }, rule });
        const sink = new MemorySink({ width, height }, channels);
        const stitcher = new Stitcher(sink, channels);
        const tiles = [...plan.bands()].flatMap((band) => band.tiles.map((tile) => ({ band, tile })));
        const outWidth = tileWidth - 2 * rule.halo.top;
        const puts = tiles.reverse().map(({ band, tile }) => {
          const out = new Uint8Array(outWidth * (tileHeight - 2 * rule.halo.top) * channels).fill(99);
          for (let y = 0; y < tile.write.height; y++) {
            const from = ((tile.write.y + y) * width + tile.write.x) * channels;
            out.set(
              (image.data as Uint8Array).subarray(from, from + tile.write.width * channels),
              y * outWidth * channels,
            );
          }
          return stitcher.put(band, tile, out, outWidth);
        });
        await Promise.all(puts);
        await stitcher.drain();
        expect(firstDifference(sink.data!, image.data)).toBe(-1);
      }
    },
  );
});

describe('the stitcher', () => {
  const plan = planTiles({ width: 4, height: 40 }, { tile: { width: 10, height: 10 }, rule });
  const bands = [...plan.bands()];
  const tileOf = (i: number) => [bands[i]!, bands[i]!.tiles[0]!, new Uint8Array(16), 4] as const;

  it('applies backpressure while the sink is behind', async () => {
    let release = () => {};
    const sink: MaskSink = {
      writeBand: () => new Promise((resolve) => (release = resolve)),
      finish: async () => {},
      abort: async () => {},
    };
    const stitcher = new Stitcher(sink, 1);
    await stitcher.put(...tileOf(0));
    let second = false;
    const waiting = stitcher.put(...tileOf(1)).then(() => (second = true));
    await new Promise(setImmediate);
    expect(second).toBe(false);
    release();
    await waiting;
  });

  it('takes tiles of the next band while one is written', async () => {
    const wide = planTiles({ width: 8, height: 8 }, { tile: { width: 10, height: 10 }, rule });
    const [first, second] = [...wide.bands()] as [Band, Band];
    let release = () => {};
    const written: number[] = [];
    const sink: MaskSink = {
      writeBand: ({ y }) => {
        written.push(y);
        return new Promise((resolve) => (release = resolve));
      },
      finish: async () => {},
      abort: async () => {},
    };
    const stitcher = new Stitcher(sink, 1);
    const put = (band: Band, i: number) => stitcher.put(band, band.tiles[i]!, new Uint8Array(16), 4);
    await put(first, 0);
    await put(first, 1);
    await put(second, 0);
    const last = put(second, 1);
    await new Promise(setImmediate);
    expect(written).toEqual([0]);
    release();
    await last;
    await new Promise(setImmediate);
    expect(written).toEqual([0, 4]);
    release();
    await stitcher.drain();
  });

  it("propagates the sink's error, and counts the incomplete bands", async () => {
    const full = new Error('disk full');
    const sink: MaskSink = {
      writeBand: () => Promise.reject(full),
      finish: async () => {},
      abort: async () => {},
    };
    const stitcher = new Stitcher(sink, 1);
    await stitcher.put(...tileOf(0));
    await expect(stitcher.put(...tileOf(1))).rejects.toBe(full);
    const short = new Stitcher(new MemorySink({ width: 4, height: 40 }, 1), 1);
    await short.put(...tileOf(3));
    await expect(short.drain()).rejects.toThrow('1 bands are incomplete');
  });
});
