import type { Engine, EngineModel, TestedModel } from '../../model/engine/engine.js';
import type { GraphUse, TilingOutcome } from '../../model/exactness/self-test.js';
import type { ShapeOutcome } from '../../model/exactness/shape-test.js';
import type { Priority } from '../../model/scheduler/priority.js';
import type { FoundModel } from '../../model/shelf/shelf.js';
import type { Size } from '../../tiling/geometry.js';
import { untilAborted } from '../storage/until-aborted.js';
import { sizesUpTo, tilesOf } from './batch-sizes.js';
import type { JobMemory } from './job-memory.js';
import type { JobPlan } from './job-plan.js';
import type { LoadedModels } from './loaded-models.js';
import { isOutOfMemory } from './one-size.js';
import type { TilePredictor } from './predict.js';

/** How the batches of a job are computed on a GPU. */
export interface ShapeChoice extends TilingOutcome {
  /** Tiles of a batch, ascending from 1, as they were tested so far; undefined where they are not exact. */
  readonly sizes?: () => readonly number[];
  /** Px of the batches that all jobs have, where they are not exact. */
  readonly batch?: number;
  /** Whether the same tile has the same bits in each of these batches. */
  readonly repeats?: boolean;
}

/** What decides how a job's batches are computed. */
export interface ShapedJob extends Pick<JobPlan, 'plan' | 'choice' | 'jobMemory' | 'computeMemory'> {
  readonly model: TestedModel;
  /** What its model is loaded from. */
  readonly found: FoundModel;
}

/** Whose turn it is, and what ends the wait. */
export interface Turn {
  readonly priority: Priority;
  readonly signal: AbortSignal;
}

interface TestTurn extends Turn {
  /** Whether no job waits for the test: it has the turn's priority and signal, and nobody shares it. */
  readonly isBeside: boolean;
}

/** Tests beside jobs that may fail for a tile, before there are no more: what fails them may be the tile. */
const MAX_FAILURES = 3;

/** Graphs and tiles whose shapes are held at most, the most recently used ones: of others, outcomes are looked up again. */
const MAX_HELD = 1000;

/** The shapes of one graph and one tile. */
interface TileShapes {
  /** Tiles of a batch, ascending, whose results equal those of the self-test. */
  readonly sizes: number[];
  /** The size that is being tested beside jobs, and what ends that; null where none is. */
  beside: { readonly size: number; readonly stop: AbortController } | null;
  /** Tests beside jobs that failed. */
  failures: number;
}

/**
 * The shapes of batches on a GPU, whose libraries choose kernels by them. Where a model is exact, each is tested before
 * it is first used: for a job, few sizes up to the number of its tiles. Each later job of the tile has another size tested
 * beside it, so that images of one tile come to share batches, but a small one waits for no test of large ones: a job
 * that needs a size which is being tested so tests it itself. Where a model is not exact, its batches have one shape, of
 * which it is tested that results can be repeated.
 */
export class BatchShapes {
  readonly #known = new Map<string, TileShapes>();

  /** @param stop aborts tests that no job waits for */
  constructor(
    private readonly engine: Pick<Engine, 'provider' | 'tests'>,
    private readonly predictor: Pick<TilePredictor, 'testing' | 'fitting'>,
    private readonly memory: Pick<JobMemory, 'withMemory'>,
    private readonly models: Pick<LoadedModels, 'hold'>,
    private readonly stop: AbortSignal,
  ) {}

  /**
   * Tests what a job needs. Where an exact model turns out not to be, the job has to be planned anew.
   * @returns null on a CPU, whose kernels do not depend on shapes
   */
  async of(job: ShapedJob, use: GraphUse, { priority, signal }: Turn): Promise<ShapeChoice | null> {
    if (this.engine.provider === 'cpu') return null;
    const own = { priority, signal, isBeside: false };
    return job.model.exact ? this.#testSizes(job, use, own) : this.#fixSize(job, use, own);
  }

  async #testSizes(job: ShapedJob, use: GraphUse, turn: TestTurn): Promise<ShapeChoice> {
    const { model, plan, choice } = job;
    const shapes = this.#shapesOf(model, use, plan.tile);
    const isNew = shapes.sizes.length === 0;
    const allowed = sizesUpTo(tilesOf(choice.batch, plan.tile.width * plan.tile.height));
    for (const size of neededOf(allowed, plan.count)) {
      const outcome = await this.#testSize(shapes, size, job, use, turn);
      if (outcome === null) break;
      if (!outcome.exact) return outcome;
    }
    if (!isNew) void this.#testNext(shapes, allowed, job, use);
    const most = allowed.at(-1)!;
    const sizes = () => shapes.sizes.filter((size) => size <= most);
    return { exact: true, largestDifference: model.largestDifference, sizes };
  }

  /** Tests a size beside jobs, after theirs; its failure is nobody's. */
  async #testNext(
    shapes: TileShapes,
    allowed: readonly number[],
    job: ShapedJob,
    use: GraphUse,
  ): Promise<void> {
    const next = allowed.find((size) => !shapes.sizes.includes(size));
    if (next === undefined || shapes.beside !== null || shapes.failures === MAX_FAILURES) return;
    const stop = new AbortController();
    shapes.beside = { size: next, stop };
    const signal = AbortSignal.any([this.stop, stop.signal]);
    const turn = { priority: 'bulk', signal, isBeside: true } as const;
    const outcome = await this.#testSize(shapes, next, job, use, turn).catch(() => null);
    if (outcome === null && !signal.aborted) shapes.failures++;
    shapes.beside = null;
  }

  /** Tests batches of this many tiles, unless they were; null for more than one tile that do not fit. */
  async #testSize(
    shapes: TileShapes,
    size: number,
    job: ShapedJob,
    use: GraphUse,
    turn: TestTurn,
  ): Promise<TilingOutcome | null> {
    const { model } = job;
    const { exact, largestDifference } = model;
    if (shapes.sizes.includes(size)) return { exact, largestDifference };
    const outcome = await this.#test(size, job, use, turn);
    if (outcome === null) return null;
    if (!outcome.exact) {
      await this.engine.tests.refute(model, use, outcome.largestDifference);
      return outcome;
    }
    if (!shapes.sizes.includes(size)) shapes.sizes.push(size);
    shapes.sizes.sort((a, b) => a - b);
    return outcome;
  }

  /** The largest batches that fit, and whose results can be repeated: of one tile where those of more cannot. */
  async #fixSize(job: ShapedJob, use: GraphUse, turn: TestTurn): Promise<ShapeChoice> {
    const { model, plan, choice } = job;
    const tilePx = plan.tile.width * plan.tile.height;
    for (let size = tilesOf(choice.batch, tilePx); ; size = Math.max(1, Math.floor(size / 2))) {
      const outcome = await this.#test(size, job, use, turn);
      if (outcome === null) continue;
      if (!outcome.repeats && size > 1) {
        size = 1;
        continue;
      }
      const differences = [model.largestDifference, outcome.largestDifference].filter(
        (found) => found !== null,
      );
      const largestDifference = differences.length === 0 ? null : Math.max(...differences);
      return { exact: false, largestDifference, batch: size * tilePx, repeats: outcome.repeats };
    }
  }

  /** The outcome of a test; null for a batch of several tiles that does not fit. */
  #test(count: number, job: ShapedJob, use: GraphUse, turn: TestTurn): Promise<ShapeOutcome | null> {
    // the test may be that of other jobs, too, and goes on where this one is cancelled: it needs its model
    const outcome = this.models.hold(job.found, async () => {
      const { model, plan, jobMemory, computeMemory } = job;
      const { width, height } = plan.tile;
      const { id } = model;
      if (this.predictor.fitting(id, use.symmetries, width * height, count) < count) return null;
      const shape = { width, height, count };
      const known = await this.engine.tests.knownShape(model, use, shape);
      if (known) return known;
      const { priority, signal, isBeside } = turn;
      const { beside } = this.#shapesOf(model, use, plan.tile);
      if (!isBeside && beside?.size === count) beside.stop.abort(); // it could take as long as its priority
      const predict = this.predictor.testing(id, isBeside ? { priority, signal } : {});
      const test = () => this.engine.tests.shape(model, use, shape, predict, { isShared: !isBeside });
      try {
        const need = { own: jobMemory, shared: computeMemory };
        return await this.memory.withMemory(need, priority, signal, test);
      } catch (error) {
        if (count > 1 && isOutOfMemory(error)) return null;
        throw error;
      }
    });
    return untilAborted(outcome, turn.signal);
  }

  #shapesOf({ digest }: EngineModel, use: GraphUse, { width, height }: Size): TileShapes {
    const key = JSON.stringify([digest, use, width, height]);
    const known = this.#known.get(key) ?? { sizes: [], beside: null, failures: 0 };
    this.#known.delete(key); // the most recently used is the last
    this.#known.set(key, known);
    for (const oldest of this.#known.keys()) if (this.#known.size > MAX_HELD) this.#known.delete(oldest);
    return known;
  }
}

/**
 * The sizes of batches that a job of this many tiles needs, of those that are allowed: each four times the one before,
 * and the last.
 */
function neededOf(allowed: readonly number[], tiles: number): readonly number[] {
  const usable = allowed.filter((size) => size <= tiles);
  return usable.filter((size, i) => i === usable.length - 1 || Math.log2(size) % 2 === 0);
}
