import { MAX_BATCH } from '../../model/compute-choice.js';
import type { Engine, TestedModel } from '../../model/engine/engine.js';
import type { PredictBatch } from '../../model/engine/predict-batch.js';
import { newTicket, revoke, type Ticket } from '../../model/engine/ticket.js';
import type { TileBatch } from '../../model/network/frozen.js';
import type { OutputKind } from '../../model/network/output-kind.js';
import { joinScales } from '../../model/network/tile-scale.js';
import { systemClock } from '../../model/scheduler/clock.js';
import type { DeviceUse, Place, RunningBatch } from '../../model/scheduler/device-lanes.js';
import type { Priority } from '../../model/scheduler/priority.js';
import { type RanBatch, Scheduler, type WaitingClass } from '../../model/scheduler/scheduler.js';
import type { MaskArray } from '../../tiling/sink.js';
import { codeOf } from '../contract/problems.js';
import { AS_IT_IS, type BatchSizes, FittingBatches, sizesUpTo, tilesOf } from './batch-sizes.js';
import { isOutOfMemory, predictInOneSize } from './one-size.js';
import type { Predict } from './segment.js';

/** Delay of a batch that is not full, for more tiles of its shape. */
const MAX_DELAY_MS = 2;
/** Wait after which a less urgent class of work gets a batch before more urgent ones. */
const AGING_MS = 2000;

/** What batches depend on of a model. */
export interface PredictModel extends Pick<TestedModel, 'id' | 'exact' | 'choice'> {
  /**
   * On a GPU, the numbers of tiles that batches may have, ascending from 1, at present; of a network that is exact, where
   * these were tested. Default: `sizesUpTo` those of the choice, for what no result depends on.
   */
  readonly sizes?: (() => readonly number[]) | undefined;
}

/** A tile, or a batch of a self-test, and how it is computed. */
interface Item {
  readonly id: number;
  readonly tile: TileBatch;
  readonly output: OutputKind;
  readonly symmetries: boolean;
  readonly threshold: number | null;
  readonly use: DeviceUse;
  readonly sizes: BatchSizes;
}

export interface PredictFor {
  /** Default `normal`. Example: `interactive`, before everything else. */
  readonly priority?: Priority;
  /** Average over the eight symmetries of the square. Default false. */
  readonly symmetries?: boolean;
  /** The probability from which a pixel has the second of two classes. Default the greatest probability. */
  readonly threshold?: number | null;
  /** Whether a tile has the whole device where few tiles wait. Default true, for models that are exact. */
  readonly canTakeAll?: boolean;
  /**
   * Of a network that is not exact, on a GPU: whether batches may be smaller than its choice states, if these do not fit.
   * A job has batches of one size all the same. Default false: what outlives it states them.
   */
  readonly canShrink?: boolean;
}

export interface TestOptions {
  /** Default `interactive`. */
  readonly priority?: Priority;
  /** Aborting it withdraws what has not begun. Default: it is computed. */
  readonly signal?: AbortSignal | undefined;
}

/** What batches need of an engine. */
export type PredictEngine = Pick<
  Engine,
  'provider' | 'predict' | 'threads' | 'laneThreads' | 'hasDevices' | 'recover' | 'lost'
>;

/** Batches the tiles of all jobs that run on an engine. */
export class TilePredictor {
  readonly #scheduler: Scheduler<Item, MaskArray>;
  readonly #fitting = new FittingBatches();

  /**
   * @param onBatch called after each batch; its items are tiles
   * @param onGone called when no device is left, with the jobs, or tests, that have tiles with which one was lost
   */
  constructor(
    private readonly engine: PredictEngine,
    onBatch: (batch: RanBatch) => void = () => {},
    onGone: (suspects: readonly string[]) => void = () => {},
  ) {
    this.#scheduler = new Scheduler<Item, MaskArray>({
      threads: engine.threads,
      use: ({ use }) => use,
      maxBatch: ({ sizes }) => sizes.most(),
      maxDelayMs: MAX_DELAY_MS,
      agingMs: AGING_MS,
      pixels: ({ tile }) => tile.width * tile.height * tile.count,
      clock: systemClock,
      onRan: onBatch,
      start: (items, place) => {
        const ticket = newTicket();
        // memory is not shared with processes: their batches cannot be revoked
        const isRevocable = !engine.hasDevices;
        const results = this.#run(items, place, isRevocable ? ticket : null);
        return { results, revoke: () => isRevocable && revoke(ticket) };
      },
      recover: (lane, error) => (isLoss(error) ? engine.recover(lane) : null),
      lost: (lane) => engine.lost(lane),
      onGone,
    });
  }

  /** Tiles that are queued for a batch, by the priority of their jobs. */
  get waiting(): readonly WaitingClass[] {
    return this.#scheduler.waiting;
  }

  /** The batches on the device: when each started, and its expected duration, in ms. */
  get running(): readonly RunningBatch[] {
    return this.#scheduler.running;
  }

  /** Whether batches are filled up to few shapes: a GPU chooses its kernels by them, and takes its time to. */
  get #pads(): boolean {
    return this.engine.provider !== 'cpu';
  }

  /** The function that predicts the tiles of one job with one model. */
  for(
    job: string,
    { id, exact, choice, sizes }: PredictModel,
    {
      priority = 'normal',
      symmetries = false,
      threshold = null,
      canTakeAll = true,
      canShrink = false,
    }: PredictFor = {},
  ): Predict {
    const { lanes, threads, batch } = choice;
    const isDivided = this.engine.laneThreads < this.engine.threads;
    const use = { lanes, threads, canTakeAll: exact && canTakeAll && !isDivided };
    const submit = (tile: TileBatch, output: OutputKind, batches: BatchSizes, signal: AbortSignal) => {
      const { width, height, channels } = tile;
      const kind = tile.data.constructor.name;
      const cost = costOf(id, output, symmetries);
      const rounding = exact ? null : batches.most(); // where the last bits depend on it, it is not that of another job
      const isScaled = tile.scale !== undefined;
      const graph = [id, output, symmetries, threshold, width, height, channels, kind, isScaled];
      // what is measured, in any shape, is no part of a batch of results
      const group = [...graph, lanes, threads, rounding, sizes !== undefined].join();
      const item = { id, tile, output, symmetries, threshold, use, sizes: batches };
      return this.#scheduler.submit({ group, model: cost, job, priority, item, signal });
    };
    const fittingOf = (tilePx: number, wanted: number) => this.fitting(id, symmetries, tilePx, wanted);
    if (!exact && this.#pads) {
      const fitting = canShrink ? fittingOf : null;
      return predictInOneSize(submit, { batch, fitting });
    }
    return (tile, output, signal) => {
      const tilePx = tile.width * tile.height;
      const fitting = (wanted: number) => fittingOf(tilePx, wanted);
      const usable = () =>
        (sizes?.() ?? sizesUpTo(tilesOf(batch, tilePx))).filter((size) => size <= fitting(MAX_BATCH));
      const padded: BatchSizes = {
        most: () => usable().at(-1)!,
        padded: (tiles) => usable().find((size) => size >= tiles)!,
        isFixed: false,
      };
      const onCpu = exact
        ? { ...AS_IT_IS, most: () => fitting(tilesOf(batch, tilePx)), isFixed: false }
        : AS_IT_IS;
      return submit(tile, output, this.#pads ? padded : onCpu, signal);
    };
  }

  /** The most tiles of a batch that fit into the device's memory, at least 1, as far as is known. */
  fitting(id: number, symmetries: boolean, tilePx: number, wanted: number): number {
    return this.#fitting.most(memoryOf(id, symmetries), wanted, tilePx);
  }

  /**
   * The function that computes the steps of a model's self-test: batches of one or several tiles, which are not joined
   * with others. They are few, and scheduled as interactive: an image may wait for the outcome.
   */
  testing(id: number, { priority = 'interactive', signal }: TestOptions = {}): PredictBatch {
    const { threads: all, laneThreads } = this.engine;
    return async (batch, output, { symmetries = false, threshold = null, threads = laneThreads }) => {
      const use = { lanes: Math.floor(all / threads), threads, canTakeAll: false };
      const cost = costOf(id, output, symmetries);
      const item = { id, tile: batch, output, symmetries, threshold, use, sizes: AS_IT_IS };
      const test = {
        group: `test of ${id}`,
        model: cost,
        job: `test of ${id}`,
        item,
        ...(signal && { signal }),
      };
      return (await this.#scheduler.submit({ ...test, priority })).result;
    };
  }

  /** Runs a batch. One that runs out of memory is retried in parts of half its size, down to single tiles. */
  async #run(items: readonly Item[], place: Place, ticket: Ticket | null): Promise<readonly MaskArray[]> {
    const [{ id, symmetries, tile, sizes }] = items as [Item];
    const count = this.#pads ? sizes.padded(items.length) : items.length;
    try {
      return await this.#predict(items, count, place, ticket);
    } catch (error) {
      const tiles = count * tile.count;
      if (!isOutOfMemory(error) || tiles === 1) throw error;
      this.#fitting.exceed(memoryOf(id, symmetries), tiles, tile.width * tile.height);
      if (sizes.isFixed) throw error;
      const results: MaskArray[] = [];
      while (results.length < items.length) {
        const part = Math.min(sizes.most(), Math.ceil(items.length / 2)); // fewer after each that does not fit
        results.push(...(await this.#run(items.slice(results.length).slice(0, part), place, null)));
      }
      return results;
    }
  }

  async #predict(
    items: readonly Item[],
    count: number,
    place: Place,
    ticket: Ticket | null,
  ): Promise<readonly MaskArray[]> {
    const [{ id, output, symmetries, threshold }] = items as [Item];
    const batch = join(
      items.map(({ tile }) => tile),
      count,
    );
    const result = await this.engine.predict(id, batch, output, { symmetries, threshold, ticket, ...place });
    return split(result, count).slice(0, items.length);
  }
}

/** Whether an error is the end of a lane. */
const isLoss = (error: unknown): boolean => codeOf(error) === 'engine-lost';

/** What takes the same memory for each px. */
const memoryOf = (id: number, symmetries: boolean): string => [id, symmetries].join();

/** What takes the same time for each px. */
const costOf = (id: number, output: OutputKind, symmetries: boolean): string =>
  [id, output, symmetries].join();

/**
 * Copies tiles into one batch: it is transferred to the device, and its tiles may be requeued or halved after that.
 * @param count of the batch's tiles, the missing ones zeros
 */
function join(tiles: readonly TileBatch[], count: number): TileBatch {
  const [first] = tiles as [TileBatch];
  const { length } = first.data;
  const Pixels = first.data.constructor as typeof Uint8Array;
  const data = new Pixels(count * length);
  for (const [i, tile] of tiles.entries()) data.set(tile.data, i * length);
  const scales = tiles.flatMap(({ scale }) => scale ?? []);
  const scale = scales.length > 0 ? { scale: joinScales(scales, count) } : undefined;
  return { ...first, data, count: count * first.count, ...scale };
}

function split(result: MaskArray, count: number): MaskArray[] {
  const length = result.length / count;
  return Array.from({ length: count }, (_, i) => result.subarray(i * length, (i + 1) * length));
}
