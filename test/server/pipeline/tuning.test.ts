import { describe, expect, it } from 'vitest';
import {
  type Choice,
  divisionsOf,
  measureAll,
  type SearchSpace,
  searchChoice,
} from '../../../server/pipeline/tuning.js';

const HALO = 88;
const start: Choice = { tile: 512, batch: 500_000, lanes: 2, threads: 1 };
const space: SearchSpace = {
  start,
  divisions: divisionsOf(2),
  fits: () => true,
  tilePx: (outputPx) => (outputPx + HALO) ** 2,
};
const never = () => false;

/** A device that is fastest at one tile, and computes less for every step away from it. */
const device = (fastest: Partial<Choice>) => async (choice: Choice) => {
  const { tile = 512, lanes = 2 } = fastest;
  const off = Math.abs(Math.log2(choice.tile / tile)) + (choice.lanes === lanes ? 0 : 1);
  return 3 / (1 + off);
};

describe('the ways to divide threads into lanes', () => {
  it('are those of equal lanes, from the most to one', () => {
    expect(divisionsOf(1)).toEqual([{ lanes: 1, threads: 1 }]);
    expect(divisionsOf(2)).toEqual([
      { lanes: 2, threads: 1 },
      { lanes: 1, threads: 2 },
    ]);
    const ways = (threads: number) => divisionsOf(threads).map((way) => `${way.lanes}x${way.threads}`);
    expect(ways(6)).toEqual(['6x1', '3x2', '2x3', '1x6']);
    expect(ways(8)).toEqual(['8x1', '4x2', '2x4', '1x8']);
    for (const { lanes, threads } of divisionsOf(16)) expect(lanes * threads).toBeLessThanOrEqual(16);
  });
});

describe('a search', () => {
  it.each([192, 256, 384, 512, 768, 1024])('finds the fastest tile of %i px', async (tile) => {
    const { choice } = await searchChoice(space, device({ tile }), never);
    expect(choice.tile).toBe(tile);
    expect(choice.lanes).toBe(2);
  });

  it('finds the fastest lanes, at the tile that it found', async () => {
    const { choice } = await searchChoice(space, device({ tile: 320, lanes: 1 }), never);
    expect(choice).toMatchObject({ tile: 320, lanes: 1, threads: 2 });
  });

  it('keeps what is hardly slower: a difference of 1 % is noise', async () => {
    const flat = async ({ tile }: Choice) => (tile === start.tile ? 1 : 1.01);
    expect((await searchChoice(space, flat, never)).choice.tile).toBe(512);
  });

  it('measures the two fastest tiles again: one that was slowed once is still found', async () => {
    const tiles: number[] = [];
    const measure = async (choice: Choice) => {
      tiles.push(choice.tile);
      const isSlowed = choice.tile === 1024 && tiles.indexOf(1024) === tiles.length - 1;
      return (await device({ tile: 1024 })(choice)) * (isSlowed ? 0.7 : 1);
    };
    const { choice, measurements } = await searchChoice(space, measure, never);
    expect(choice.tile).toBe(1024);
    const measured = measurements.filter(({ tile, lanes }) => tile === 1024 && lanes === 2);
    expect(measured.map(({ mpxPerSecond }) => mpxPerSecond)).toEqual([3]);
  });

  it('measures the start again: one that was slowed once is kept', async () => {
    let calls = 0;
    const measure = async ({ tile }: Choice) => (calls++ === 0 ? 0.8 : tile === start.tile ? 1 : 1.02);
    expect((await searchChoice(space, measure, never)).choice.tile).toBe(start.tile);
  });

  it.each([
    [{ 640: 1.04, 768: 1.06, 1024: 1.1 }, 768],
    [{ 256: 1.07, 640: 1.03, 768: 1.08, 1024: 1.1 }, 256],
    [{ 256: 0.99, 640: 1.04, 768: 1.04, 1024: 1.04 }, 512],
  ])(
    'leaves the start for the smallest tile that is hardly slower than the fastest: %o',
    async (gains, tile) => {
      const measure = async (choice: Choice) => (gains as Record<number, number>)[choice.tile] ?? 0.9;
      const speed = async (choice: Choice) => (choice.tile === start.tile ? 1 : measure(choice));
      expect((await searchChoice(space, speed, never)).choice.tile).toBe(tile);
    },
  );

  it('batches small tiles only where that is faster by more than noise', async () => {
    const px = space.tilePx(256);
    const speed = (gain: number) => async (choice: Choice) =>
      choice.tile === 512 ? 2 : choice.batch > px ? gain : 1;
    expect((await searchChoice(space, speed(1.05), never)).choice.batch).toBe(px);
    expect((await measureAll(space, speed(1.05), () => undefined)).choice.batch).toBe(px);
    expect((await searchChoice(space, speed(1.3), never)).choice.batch).toBe(4 * px);
    expect((await measureAll(space, speed(1.3), () => undefined)).choice.batch).toBe(4 * px);
  });

  it('keeps the batches that a GPU needs', async () => {
    const gpu = { ...space, start: { ...start, batch: 8_000_000 }, isBatchGiven: true };
    for (const found of [
      await searchChoice(gpu, device({ tile: 768 }), never),
      await measureAll(gpu, device({ tile: 768 }), () => undefined),
    ]) {
      expect(found.choice).toMatchObject({ tile: 768, batch: 8_000_000 });
      expect(new Set(found.measurements.map(({ batch }) => batch))).toEqual(new Set([8_000_000]));
    }
  });

  it('stops when the time is up, with what it has: at least one measurement', async () => {
    let calls = 0;
    const measure = async (choice: Choice) => ++calls && device({ tile: 256 })(choice);
    const found = await searchChoice(space, measure, () => calls >= 2);
    expect(calls).toBe(2);
    expect(found.choice.tile).toBe(512);
    expect(found.measurements.map(({ tile }) => tile)).toEqual([512, 768]);
    expect((await searchChoice(space, measure, () => true)).choice).toEqual(start);
  });

  it('measures nothing that does not fit into the memory', async () => {
    const fits = ({ tile, lanes }: Choice) => tile <= 384 && lanes === 2;
    const { choice, measurements } = await searchChoice(
      { ...space, start: { ...start, tile: 384 }, fits },
      device({}),
      never,
    );
    expect(choice.tile).toBe(384);
    expect(measurements.every(fits)).toBe(true);
  });

  it('fails where a measurement does', async () => {
    await expect(searchChoice(space, () => Promise.reject(new Error('lost')), never)).rejects.toThrow('lost');
  });
});

describe('a full measurement', () => {
  it('covers every tile in every division, and chooses the fastest', async () => {
    const seen: string[] = [];
    const found = await measureAll(space, device({ tile: 640, lanes: 1 }), ({ tile, lanes, tiles }) =>
      seen.push(`${tile} ${lanes} ${tiles}`),
    );
    expect(found.choice).toMatchObject({ tile: 640, lanes: 1, threads: 2 });
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toHaveLength(found.measurements.length);
    expect(seen).toContain('256 2 4');
  });

  it.each([256, 1024])('chooses a tile of %i px if it is faster than the start by 5 %%', async (tile) => {
    const speed = (gain: number) => async (choice: Choice) =>
      choice.lanes === 2 ? (choice.tile === tile ? gain : 1) : 0.5;
    const found = (gain: number) => measureAll(space, speed(gain), () => undefined);
    expect((await found(1.04)).choice).toMatchObject({ tile: start.tile, lanes: 2 });
    expect((await found(1.06)).choice).toMatchObject({ tile, lanes: 2 });
  });
});
