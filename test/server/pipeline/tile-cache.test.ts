import { describe, expect, it } from 'vitest';
import type { Priority } from '../../../model/scheduler/priority.js';
import type { Predict, Predicted } from '../../../server/pipeline/segment.js';
import { TileCache, type TileUse } from '../../../server/pipeline/tile-cache.js';
import type { PixelArray } from '../../../tiling/raster.js';
import { pattern } from '../../support/rasters.js';

const USE: TileUse = {
  network: 'a network',
  symmetries: false,
  threshold: null,
  scale: null,
  rounding: null,
  priority: 'normal',
};
const SIDE = 64;
const ongoing = new AbortController().signal;

const tileOf = (data: PixelArray, channels = 1) => {
  return { data, count: 1, width: SIDE, height: data.length / SIDE / channels, channels };
};
/** An RGB tile of one colour. */
const flat = (...colour: number[]) =>
  tileOf(
    Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => colour[i % 3]!),
    3,
  );
/** A gray tile without repetition; another one for each seed. */
const textured = (seed = 0) => tileOf(pattern(SIDE, SIDE).data.map((value) => (value + seed) % 256));

/** A device that counts its tiles; results are views of a larger batch, as those of a scheduler are. */
class Device {
  count = 0;
  readonly predict: Predict = async ({ data }) => {
    this.count++;
    const batch = new Uint8Array(2 * data.length);
    batch.set(data, data.length);
    const result = batch.subarray(data.length);
    return { result, batchSize: 2, queuedMs: 1, ranMs: 1 };
  };
}

/** A device whose tiles pend until the test ends them; aborting a tile's signal withdraws it. */
class PendingDevice {
  readonly tiles: { readonly finish: (result: Uint8Array) => void; readonly fail: (error: Error) => void }[] =
    [];
  readonly predict: Predict = (_tile, _output, signal) =>
    new Promise((resolve, reject) => {
      const finish = (result: Uint8Array) => resolve({ result, batchSize: 1, queuedMs: 0, ranMs: 0 });
      this.tiles.push({ finish, fail: reject });
      signal.addEventListener('abort', () => reject(signal.reason));
    });
}

describe('tiles of one value', () => {
  it('are computed once, in a slide and across slides', async () => {
    const [device, cache] = [new Device(), new TileCache(1e6)];
    const reuse = [];
    for (let i = 0; i < 5; i++) {
      const predicted = await cache.around(device.predict, USE)(flat(240, 230, 250), 'labels', ongoing);
      expect([...predicted.result.slice(-3)]).toEqual([240, 230, 250]);
      reuse.push(predicted.reuse);
    }
    expect(reuse).toEqual([undefined, 'constant', 'constant', 'constant', 'constant']);
    expect(device.count).toBe(1);
  });

  it('of different values, shapes and channels, and of different uses of networks, are all computed', async () => {
    const [device, cache] = [new Device(), new TileCache(1e7)];
    const half = { ...flat(1, 1, 1), height: SIDE / 2, width: 2 * SIDE };
    const gray = { ...half, channels: 1, width: 3 * SIDE, height: SIDE };
    const wide = tileOf(new Uint16Array(SIDE * SIDE * 3).fill(0x0101), 3);
    for (const tile of [flat(1, 1, 1), flat(1, 1, 2), half, gray, wide])
      await cache.around(device.predict, USE)(tile, 'labels', ongoing);
    expect(device.count).toBe(5);
    await cache.around(device.predict, USE)(flat(1, 1, 1), 'probabilities', ongoing);
    const uses: Partial<TileUse>[] = [
      { network: 'another' },
      { symmetries: true },
      { threshold: 0.5 },
      { rounding: { threads: 2, batch: 1 } },
    ];
    for (const use of uses)
      await cache.around(device.predict, { ...USE, ...use })(flat(1, 1, 1), 'labels', ongoing);
    expect(device.count).toBe(10);
  });

  it('include floats, and none in which a single value differs', async () => {
    const [device, cache] = [new Device(), new TileCache(1e6)];
    const predict = cache.around(device.predict, USE);
    const floats = () => new Float32Array(SIDE * SIDE).fill(0.25);
    for (let i = 0; i < 2; i++) await predict(tileOf(floats()), 'labels', ongoing);
    expect(device.count).toBe(1);
    for (const at of [0, 1000, SIDE * SIDE - 1]) {
      const data = floats();
      data[at] = 0.5;
      expect((await predict(tileOf(data), 'labels', ongoing)).reuse).toBeUndefined();
    }
  });
});

describe('tiles with identical pixels', () => {
  it('are computed until their pixels have been seen twice', async () => {
    const [device, cache] = [new Device(), new TileCache(1e6)];
    const reuse = [];
    for (let i = 0; i < 4; i++) {
      const predicted = await cache.around(device.predict, USE)(textured(), 'labels', ongoing);
      expect(predicted.result).toEqual(textured().data);
      reuse.push(predicted.reuse);
    }
    expect(reuse).toEqual([undefined, undefined, 'identical', 'identical']);
  });

  it('are distinguished by every pixel', async () => {
    const [device, cache] = [new Device(), new TileCache(1e6)];
    const predict = cache.around(device.predict, USE);
    for (let at = 0; at < SIDE * SIDE; at += 97) {
      const tile = textured();
      tile.data[at] = tile.data[at]! ^ 1;
      for (let i = 0; i < 3; i++) expect((await predict(tile, 'labels', ongoing)).result).toEqual(tile.data);
    }
  });

  it('are not held if they occur once: they evict nothing', async () => {
    const held: number[] = [];
    const [device, cache] = [new Device(), new TileCache(20_000, (bytes) => held.push(bytes))];
    const predict = cache.around(device.predict, USE);
    await predict(flat(9, 9, 9), 'labels', ongoing);
    for (let i = 0; i < 50; i++) await predict(textured(i), 'labels', ongoing);
    expect((await predict(flat(9, 9, 9), 'labels', ongoing)).reuse).toBe('constant');
    expect(held).toHaveLength(1);
  });
});

describe('what the cache holds', () => {
  it('is bounded in bytes, not counting the batches that its results were views of', async () => {
    let bytes = 0;
    const [device, cache] = [new Device(), new TileCache(30_000, (held) => (bytes = held))];
    const predict = cache.around(device.predict, USE);
    for (let i = 0; i < 20; i++) await predict(flat(i, i, i), 'labels', ongoing);
    expect(bytes).toBeLessThanOrEqual(30_000);
    const last = await predict(flat(19, 19, 19), 'labels', ongoing);
    expect([last.reuse, last.result.buffer.byteLength]).toEqual(['constant', last.result.length]);
    expect((await predict(flat(0, 0, 0), 'labels', ongoing)).reuse).toBeUndefined();
  });

  it('is nothing if it may hold 0 bytes', async () => {
    const device = new Device();
    expect(new TileCache(0).around(device.predict, USE)).toBe(device.predict);
  });
});

describe('two equal tiles at the same time', () => {
  const both = (first: Partial<TileUse>, second: Partial<TileUse>, tile = textured) => {
    const [device, cache] = [new PendingDevice(), new TileCache(1e6)];
    const stop = [new AbortController(), new AbortController()] as const;
    const jobs = [first, second].map((use, i): Promise<Predicted> => {
      const predict = cache.around(device.predict, { ...USE, ...use });
      return predict(tile(), 'labels', stop[i]!.signal);
    }) as [Promise<Predicted>, Promise<Predicted>];
    for (const job of jobs) job.catch(() => undefined);
    return { device, stop, jobs, cache };
  };
  const result = new Uint8Array([1, 2, 3]);

  it.each([
    ['textured', textured],
    ['flat', () => flat(1, 2, 3)],
  ])('are computed once, if they are %s', async (_name, tile) => {
    const { device, jobs } = both({}, {}, tile);
    expect(device.tiles).toHaveLength(1);
    device.tiles[0]!.finish(result);
    const [first, second] = await Promise.all(jobs);
    expect([first.reuse, second.reuse !== undefined]).toEqual([undefined, true]);
    expect([first.result, second.result]).toEqual([result, result]);
  });

  it('are held from then on', async () => {
    const { device, jobs, cache } = both({}, {});
    device.tiles[0]!.finish(result);
    await Promise.all(jobs);
    const third = await cache.around(device.predict, USE)(textured(), 'labels', ongoing);
    expect([third.reuse, third.result]).toEqual(['identical', result]);
  });

  it('are two if the first job is cancelled: the second computes its own', async () => {
    const { device, stop, jobs } = both({}, {});
    stop[0].abort(new Error('cancelled'));
    await expect(jobs[0]).rejects.toThrow('cancelled');
    await expect.poll(() => device.tiles.length).toBe(2);
    device.tiles[1]!.finish(result);
    expect((await jobs[1]).result).toEqual(result);
  });

  it('are two if the first one fails: the second has an outcome of its own', async () => {
    const { device, jobs } = both({}, {});
    device.tiles[0]!.fail(new Error('no memory'));
    await expect(jobs[0]).rejects.toThrow('no memory');
    await expect.poll(() => device.tiles.length).toBe(2);
    device.tiles[1]!.finish(result);
    expect((await jobs[1]).result).toEqual(result);
  });

  it('do not wait for each other after the second job is cancelled', async () => {
    const { device, stop, jobs } = both({}, {});
    stop[1].abort(new Error('cancelled'));
    await expect(jobs[1]).rejects.toThrow('cancelled');
    device.tiles[0]!.finish(result);
    expect((await jobs[0]).result).toEqual(result);
  });

  it.each<[Priority, Priority, number]>([
    ['bulk', 'interactive', 2],
    ['interactive', 'bulk', 1],
  ])('of a %s job and then of a %s one are computed %i times', async (first, second, times) => {
    const { device } = both({ priority: first }, { priority: second });
    expect(device.tiles).toHaveLength(times);
  });

  it('are computed both if they only seem equal', async () => {
    const tiles = [textured(), textured()];
    tiles[1]!.data[1] = tiles[1]!.data[1]! ^ 1; // between the samples of the fingerprint
    const { device } = both({}, {}, () => tiles.shift()!);
    expect(device.tiles).toHaveLength(2);
  });
});
