import { beforeEach, describe, expect, it } from 'vitest';
import type { TestedModel } from '../../../model/engine.js';
import { OutOfMemoryError } from '../../../model/errors.js';
import type { TileBatch } from '../../../model/frozen.js';
import type { GraphUse } from '../../../model/self-test.js';
import { TilingTests } from '../../../model/tiling-tests.js';
import { BatchShapes, type ShapedJob } from '../../../server/pipeline/batch-shapes.js';
import { FittingBatches } from '../../../server/pipeline/batch-sizes.js';
import { planTiles } from '../../../tiling/plan.js';
import { even } from '../../support/rasters.js';

const geometry = { halo: even(1), padded: even(0), multiple: 2, smallest: 4, tileable: true };
const use: GraphUse = { output: 'probabilities', symmetries: false, channels: 1 };
const turn = { priority: 'normal', signal: new AbortController().signal } as const;
const SIDE = 42;
const environment = { provider: 'cuda' };

/** Tiles of the batches that were computed, in order, but for those of the self-test's shapes. */
let counts: number[];
beforeEach(() => {
  counts = [];
});

/** A GPU with memory for batches of `capacity` tiles, whose bits differ where `isOff`. */
function gpu({ capacity = 16, isOff = (_batch: TileBatch, _place: number): boolean => false } = {}) {
  const fitting = new FittingBatches();
  const predictor = {
    fitting: (_id: number, _symmetries: boolean, tilePx: number, wanted: number) =>
      fitting.most('', wanted, tilePx),
    testing: () => async (batch: TileBatch) => {
      const { data, count, width, height } = batch;
      if (width === SIDE) counts.push(count);
      if (count > capacity) {
        fitting.exceed('', count, width * height);
        throw new OutOfMemoryError('out of memory');
      }
      const length = (width - 2) * (height - 2);
      return Float32Array.from({ length: count * length * 2 }, (_, i) => {
        const [tile, at] = [Math.floor(i / 2 / length), Math.floor(i / 2) % length];
        const [x, y] = [(at % (width - 2)) + 1, Math.floor(at / (width - 2)) + 1];
        return data[(tile * height + y) * width + x]! + (isOff(batch, tile) ? 1 : 0);
      });
    },
  };
  const tests = new TilingTests({ provider: 'cuda', threads: 1 }, null);
  const memory = {
    withMemory: (_need: object, _priority: string, _signal: object, work: () => never) => work(),
  };
  const engine = { provider: 'cuda', tests } as const;
  const stop = new AbortController().signal;
  return { tests, shapes: new BatchShapes(engine, predictor as never, memory as never, stop) };
}

/** A job of an image of this many tiles. */
function jobOf(tiles: number, exact = true): ShapedJob {
  const tile = { width: SIDE, height: SIDE };
  const plan = planTiles({ width: tiles * (SIDE - 2), height: SIDE - 2 }, { tile, rule: geometry });
  const model = { id: 0, digest: 'a', environment, geometry, exact, largestDifference: exact ? 0 : 0.5 };
  const choice = { tile: 40, batch: 12 * SIDE * SIDE, lanes: 1, threads: 1, isMeasured: false };
  return { model: model as unknown as TestedModel, plan, choice, jobMemory: 0, computeMemory: 0 };
}

/** Lets tests end that no job waits for. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

describe('the shapes of an exact model', () => {
  it.each([
    [1, [1]],
    [3, [1, 2]],
    [9, [1, 4, 8]],
    [100, [1, 4, 12]],
  ])('are tested for a job of %i tiles before it runs', async (tiles, sizes) => {
    const found = await gpu().shapes.of(jobOf(tiles), use, turn);
    expect(found).toMatchObject({ exact: true, largestDifference: 0 });
    expect(found!.sizes!()).toEqual(sizes);
    expect(counts).toEqual(sizes);
  });

  it('are tested once, and each later job has the next size tested beside it', async () => {
    const { shapes } = gpu();
    const sizes: number[][] = [];
    for (let i = 0; i < 4; i++) {
      const found = await shapes.of(jobOf(1), use, turn);
      await settle();
      sizes.push([...found!.sizes!()]);
    }
    expect(sizes).toEqual([[1], [1, 2], [1, 2, 4], [1, 2, 4, 8]]);
    expect(counts).toEqual([1, 2, 4, 8]);
  });

  it('are those that fit', async () => {
    const { shapes } = gpu({ capacity: 5 });
    const found = await shapes.of(jobOf(100), use, turn);
    expect(found!.sizes!()).toEqual([1, 4]);
    await shapes.of(jobOf(100), use, turn);
    await settle();
    expect(counts).toEqual([1, 4, 12, 2]);
  });

  it('make it inexact where one of them is not, for all jobs of the graph', async () => {
    const { tests, shapes } = gpu({ isOff: ({ count }) => count === 4 });
    expect(await shapes.of(jobOf(100), use, turn)).toMatchObject({ exact: false, largestDifference: 1 });
    const { model } = jobOf(1);
    expect(await tests.known(model, use, 1)).toMatchObject({ exact: false });
    expect(await tests.known(model, { ...use, isOfBytes: true }, 1)).toBe(undefined);
  });
});

describe('the one shape of a model that is not exact', () => {
  it('is the largest, where results can be repeated, with the largest difference', async () => {
    const { shapes } = gpu({ isOff: ({ count }) => count > 1 });
    const found = await shapes.of(jobOf(1, false), use, turn);
    expect(found).toEqual({ exact: false, largestDifference: 1, batch: 12 * SIDE * SIDE });
    expect(counts).toEqual([12, 12]);
  });

  it('is the largest that fits', async () => {
    const found = await gpu({ capacity: 5 }).shapes.of(jobOf(100, false), use, turn);
    expect(found).toEqual({ exact: false, largestDifference: 0.5, batch: 3 * SIDE * SIDE });
  });

  it('has one tile where the place in a batch changes bits', async () => {
    const { shapes } = gpu({ isOff: ({ width }, place) => width === SIDE && place > 0 });
    const found = await shapes.of(jobOf(100, false), use, turn);
    expect(found).toEqual({ exact: false, largestDifference: 0.5, batch: SIDE * SIDE });
  });
});
