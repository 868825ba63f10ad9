import { MAX_BATCH } from '../../model/compute-choice.js';
import type { DeviceUse, Place, RunningBatch } from '../../model/device-lanes.js';
import type { Engine, PredictBatch, TestedModel } from '../../model/engine.js';
import type { TileBatch } from '../../model/frozen.js';
import type { OutputKind } from '../../model/output-kind.js';
import { type Priority, Scheduler, systemClock } from '../../model/scheduler.js';
import { newTicket, revoke, type Ticket } from '../../model/ticket.js';
import type { MaskArray } from '../../tiling/sink.js';
import type { Predict } from './segment.js';

/** Delay of a batch that is not full, for more tiles of its shape. */
const MAX_DELAY_MS = 2;
/** Wait after which a less urgent class of work gets a batch before more urgent ones. */
const AGING_MS = 2000;

/** What batches depend on of a model. */
export type PredictModel = Pick<TestedModel, 'id' | 'exact' | 'choice'>;

/** A tile, or a batch of a self-test, and how it is computed. */
interface Item {
  readonly id: number;
  readonly tile: TileBatch;
  readonly output: OutputKind;
  readonly symmetries: boolean;
  readonly threshold: number | null;
  readonly use: DeviceUse;
  /** The most tiles of its batch. */
  readonly maxBatch: number;
  /** On a GPU: tiles of the batch that is computed for a number of tiles, which is filled up with zeros. */
  readonly shape: (tiles: number) => number;
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
}

/** What batches need of an engine. */
export type PredictEngine = Pick<
  Engine,
  'provider' | 'predict' | 'threads' | 'laneThreads' | 'hasDevices' | 'recover' | 'lost'
>;

/** Batches the tiles of all jobs that run on an engine. */
export class TilePredictor {
  readonly #scheduler: Scheduler<Item, MaskArray>;

  /** @param onBatch called after each batch with its tiles, its share of the device's time in ms, and its lane */
  constructor(
    private readonly engine: PredictEngine,
    onBatch: (tiles: number, deviceMs: number, lane: number) => void = () => {},
  ) {
    this.#scheduler = new Scheduler<Item, MaskArray>({
      threads: engine.threads,
      use: ({ use }) => use,
      maxBatch: ({ maxBatch }) => maxBatch,
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
    });
  }

  /** Tiles that are queued for a batch. */
  get depth(): number {
    return this.#scheduler.depth;
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
    { id, exact, choice }: PredictModel,
    { priority = 'normal', symmetries = false, threshold = null, canTakeAll = true }: PredictFor = {},
  ): Predict {
    const { lanes, threads, batch } = choice;
    const isDivided = this.engine.laneThreads < this.engine.threads;
    const use = { lanes, threads, canTakeAll: exact && canTakeAll && !isDivided };
    return (tile, output, signal) => {
      const kind = tile.data.constructor.name;
      const { width, height, channels } = tile;
      const fitting = Math.max(1, Math.floor(batch / (width * height)));
      const maxBatch = exact || this.#pads ? Math.min(MAX_BATCH, fitting) : 1;
      const rounding = exact ? null : maxBatch; // where the last bits depend on it, it is not that of another job
      const graph = [id, output, symmetries, threshold, width, height, channels, kind];
      const group = [...graph, lanes, threads, rounding].join();
      const shape = (tiles: number) => Math.min(maxBatch, exact ? nextPower(tiles) : maxBatch);
      const item = { id, tile, output, symmetries, threshold, use, maxBatch, shape };
      const cost = [id, output, symmetries].join();
      return this.#scheduler.submit({ group, model: cost, job, priority, item, signal });
    };
  }

  /**
   * The function that computes the steps of a model's self-test: batches of one or several tiles, which are not joined
   * with others. They are few and small, and scheduled as interactive: an image may wait for the outcome.
   */
  testing(id: number): PredictBatch {
    const { threads: all, laneThreads } = this.engine;
    return async (batch, output, { symmetries = false, threshold = null, threads = laneThreads }) => {
      const use = { lanes: Math.floor(all / threads), threads, canTakeAll: false };
      const item = { id, tile: batch, output, symmetries, threshold, use, maxBatch: 1, shape: asIs };
      const cost = [id, output, symmetries].join();
      const test = { group: `test of ${id}`, model: cost, job: `test of ${id}`, item };
      return (await this.#scheduler.submit({ ...test, priority: 'interactive' })).result;
    };
  }

  /** Runs a batch. One that runs out of memory is retried once, in halves. */
  async #run(items: readonly Item[], place: Place, ticket: Ticket | null): Promise<readonly MaskArray[]> {
    try {
      return await this.#predict(items, place, ticket);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'out-of-memory')) throw error;
      if (items.length === 1) throw error;
      const middle = Math.ceil(items.length / 2);
      const first = await this.#predict(items.slice(0, middle), place, null);
      return [...first, ...(await this.#predict(items.slice(middle), place, null))];
    }
  }

  async #predict(items: readonly Item[], place: Place, ticket: Ticket | null): Promise<readonly MaskArray[]> {
    const [{ id, output, symmetries, threshold, shape }] = items as [Item];
    const count = this.#pads ? shape(items.length) : items.length;
    const batch = join(
      items.map(({ tile }) => tile),
      count,
    );
    const result = await this.engine.predict(id, batch, output, { symmetries, threshold, ticket, ...place });
    return split(result, count).slice(0, items.length);
  }
}

/** Whether an error is the end of a lane. */
const isLoss = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'engine-lost';

/** Of an exact network, which computes the same bits in any batch: a GPU prepares itself for each new shape. */
const nextPower = (tiles: number): number => 2 ** Math.ceil(Math.log2(tiles));
/** Of a test, which chooses its own. */
const asIs = (tiles: number): number => tiles;

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
  return { ...first, data, count: count * first.count };
}

function split(result: MaskArray, count: number): MaskArray[] {
  const length = result.length / count;
  return Array.from({ length: count }, (_, i) => result.subarray(i * length, (i + 1) * length));
}
