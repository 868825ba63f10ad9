import { beforeEach, describe, expect, it } from 'vitest';
import type { TestedModel } from '../../../model/engine/engine.js';
import { OutOfMemoryError } from '../../../model/errors.js';
import type { GraphUse } from '../../../model/exactness/self-test.js';
import { TilingTests } from '../../../model/exactness/tiling-tests.js';
import type { TileBatch } from '../../../model/network/frozen.js';
import type { FoundModel } from '../../../model/shelf/shelf.js';
import { BatchShapes, type ShapedJob } from '../../../server/pipeline/batch-shapes.js';
import { FittingBatches } from '../../../server/pipeline/batch-sizes.js';
import type { TestOptions } from '../../../server/pipeline/predict.js';
import { planTiles } from '../../../tiling/plan.js';
import { even } from '../../support/rasters.js';

const geometry = { halo: even(1), padded: even(0), multiple: 2, smallest: 4, tileable: true };
const use: GraphUse = { output: 'probabilities', symmetries: false, channels: 1 };
const turn = { priority: 'normal', signal: new AbortController().signal } as const;
const SIDE = 42;
const environment = { provider: 'cuda' };

/** Tiles of the batches that were computed, in order, but for those of the self-test's shapes. */
let counts: number[];
/** Whether the model was held while each of them began. */
let held: boolean[];
beforeEach(() => {
  counts = [];
  held = [];
});

interface FakeGpu {
  /** Tiles of the largest batch that fits. */
  readonly capacity?: number;
  /** Where bits differ. */
  readonly isOff?: (batch: TileBatch, place: number) => boolean;
  /** Called before each batch of a test, with its turn. */
  readonly before?: (turn: TestOptions) => Promise<void>;
}

function gpu({ capacity = 16, isOff = () => false, before = async () => {} }: FakeGpu = {}) {
  const fitting = new FittingBatches();
  const predictor = {
    fitting: (_id: number, _symmetries: boolean, tilePx: number, wanted: number) =>
      fitting.most('', wanted, tilePx),
    testing: (_id: number, testTurn: TestOptions) => async (batch: TileBatch) => {
      const { data, count, width, height } = batch;
      if (width === SIDE) {
        counts.push(count);
        held.push(users > 0);
      }
      await before(testTurn);
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
    withMemory: async (_need: object, _priority: string, signal: AbortSignal, work: () => never) => {
      signal.throwIfAborted();
      return work();
    },
  };
  let users = 0;
  const models = {
    hold: (_found: object, work: () => Promise<never>) => {
      users++;
      return work().finally(() => users--);
    },
  };
  const engine = { provider: 'cuda', tests } as const;
  const stop = new AbortController().signal;
  const shapes = new BatchShapes(engine, predictor as never, memory as never, models, stop);
  return { tests, shapes, isHeld: () => users > 0 };
}

/** A job of an image of this many tiles. */
function jobOf(tiles: number, exact = true): ShapedJob {
  const tile = { width: SIDE, height: SIDE };
  const plan = planTiles({ width: tiles * (SIDE - 2), height: SIDE - 2 }, { tile, rule: geometry });
  const model = { id: 0, digest: 'a', environment, geometry, exact, largestDifference: exact ? 0 : 0.5 };
  const choice = { tile: 40, batch: 12 * SIDE * SIDE, lanes: 1, threads: 1, isMeasured: false };
  const found = { folder: '/models/a/1' } as FoundModel;
  return { model: model as unknown as TestedModel, found, plan, choice, jobMemory: 0, computeMemory: 0 };
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

describe('the test of a size beside jobs', () => {
  /** Whether a batch is one of such a test. */
  const isBeside = ({ priority }: TestOptions) => priority === 'bulk';

  it('has its model stay loaded, whatever jobs do meanwhile', async () => {
    const { shapes } = gpu();
    await shapes.of(jobOf(1), use, turn);
    await shapes.of(jobOf(1), use, turn);
    await settle();
    expect({ counts, held }).toEqual({ counts: [1, 2], held: [true, true] });
  });

  it('ends where a job needs that size, which tests it itself, in its own turn', async () => {
    let aborted = 0;
    const before = (test: TestOptions) =>
      new Promise<void>((resolve, reject) => {
        if (!isBeside(test)) return resolve();
        test.signal!.addEventListener('abort', () => reject(++aborted));
      });
    const { shapes } = gpu({ before });
    await shapes.of(jobOf(1), use, turn);
    await shapes.of(jobOf(1), use, turn);
    await settle();
    const found = await shapes.of(jobOf(2), use, turn);
    expect(found!.sizes!()).toEqual([1, 2]);
    expect({ counts: counts.slice(0, 3), aborted }).toEqual({ counts: [1, 2, 2], aborted: 1 });
  });

  it('is made again by a later job where it failed, but not for ever', async () => {
    let failures = 1;
    const before = async (test: TestOptions) => {
      if (isBeside(test) && failures-- > 0) throw new Error('the driver is busy');
    };
    const { shapes } = gpu({ before });
    const next = async () => {
      const found = await shapes.of(jobOf(1), use, turn);
      await settle();
      return [...found!.sizes!()];
    };
    await next();
    expect([await next(), await next()]).toEqual([[1], [1, 2]]);
    failures = 10;
    for (let i = 0; i < 5; i++) await next();
    expect(failures).toBe(8);
  });
});

describe('a job that is cancelled', () => {
  it('leaves the test of its shape at once, which goes on with its model loaded', async () => {
    let compute = () => {};
    const computed = new Promise<void>((resolve) => (compute = resolve));
    const { shapes, isHeld } = gpu({ before: () => computed });
    const leaving = new AbortController();
    const left = shapes.of(jobOf(1), use, { priority: 'normal', signal: leaving.signal });
    await settle();
    leaving.abort(new Error('cancelled'));
    await expect(left).rejects.toThrow('cancelled');
    expect(isHeld()).toBe(true);
    const later = shapes.of(jobOf(1), use, turn);
    await settle();
    compute();
    expect((await later)!.sizes!()).toEqual([1]);
    expect({ counts, isHeld: isHeld() }).toEqual({ counts: [1], isHeld: false });
  });

  it('begins none', async () => {
    const cancelled = AbortSignal.abort(new Error('cancelled'));
    const { shapes } = gpu();
    await expect(shapes.of(jobOf(1), use, { ...turn, signal: cancelled })).rejects.toThrow('cancelled');
    expect(counts).toEqual([]);
  });
});

describe('the one shape of a model that is not exact', () => {
  it('is the largest, where results can be repeated, with the largest difference', async () => {
    const { shapes } = gpu({ isOff: ({ count }) => count > 1 });
    const found = await shapes.of(jobOf(1, false), use, turn);
    expect(found).toEqual({ exact: false, largestDifference: 1, batch: 12 * SIDE * SIDE, repeats: true });
    expect(counts).toEqual([12, 12]);
  });

  it('is the largest that fits', async () => {
    const found = await gpu({ capacity: 5 }).shapes.of(jobOf(100, false), use, turn);
    expect(found).toEqual({ exact: false, largestDifference: 0.5, batch: 3 * SIDE * SIDE, repeats: true });
  });

  it('has one tile where the place in a batch changes bits', async () => {
    const { shapes } = gpu({ isOff: ({ width }, place) => width === SIDE && place > 0 });
    const found = await shapes.of(jobOf(100, false), use, turn);
    expect(found).toEqual({ exact: false, largestDifference: 0.5, batch: SIDE * SIDE, repeats: true });
  });

  it('has one tile, and is known not to repeat, where bits change each time', async () => {
    const { shapes } = gpu({ isOff: ({ width }) => width === SIDE && counts.length % 2 === 1 });
    const found = await shapes.of(jobOf(100, false), use, turn);
    expect(found).toMatchObject({ exact: false, batch: SIDE * SIDE, repeats: false });
  });
});
