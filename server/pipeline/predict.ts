import type { Card } from '../../model/card.js';
import type { Engine, PredictBatch, TestedModel } from '../../model/engine.js';
import type { TileBatch } from '../../model/frozen.js';
import type { OutputKind } from '../../model/output-kind.js';
import { type Priority, Scheduler, systemClock } from '../../model/scheduler.js';
import { newTicket, revoke, type Ticket } from '../../model/ticket.js';
import type { MaskArray } from '../../tiling/sink.js';
import { BATCH_PX, batchPixels } from './memory.js';
import type { Predict } from './segment.js';

/** Tiles of a batch. */
const MAX_BATCH = 16;
/** Delay of a batch that is not full, for more tiles of its shape. */
const MAX_DELAY_MS = 2;
/** Wait after which a less urgent class of work gets a batch before more urgent ones. */
const AGING_MS = 2000;

/** What batches depend on of a model. */
export type PredictModel = Pick<TestedModel, 'id' | 'exact'> & {
  readonly card?: Pick<Card, 'architecture'>;
};

/** A tile, or a batch of a self-test, and how it is computed. */
interface Item {
  readonly model: PredictModel;
  readonly tile: TileBatch;
  readonly output: OutputKind;
  readonly symmetries: boolean;
  readonly threshold: number | null;
}

export interface PredictFor {
  /** Default `normal`. Example: `interactive`, before everything else. */
  readonly priority?: Priority;
  /** Average over the eight symmetries of the square. Default false. */
  readonly symmetries?: boolean;
  /** The probability from which a pixel has the second of two classes. Default the greatest probability. */
  readonly threshold?: number | null;
}

/** Batches the tiles of all jobs that run on an engine. */
export class TilePredictor {
  readonly #scheduler: Scheduler<Item, MaskArray>;

  /**
   * @param onBatch called after each batch with its tiles and how long the device ran, in ms
   * @param memory bytes that a job may take: batches are limited to fit. Default unlimited
   */
  constructor(
    private readonly engine: Pick<Engine, 'predict'>,
    onBatch: (tiles: number, ranMs: number) => void = () => {},
    memory = Number.POSITIVE_INFINITY,
  ) {
    this.#scheduler = new Scheduler<Item, MaskArray>({
      maxBatch: ({ model, tile }) => {
        const pixels = model.card ? batchPixels(model.card, memory) : BATCH_PX;
        const fitting = Math.floor(pixels / (tile.width * tile.height));
        return model.exact ? Math.min(MAX_BATCH, Math.max(1, fitting)) : 1;
      },
      maxDelayMs: MAX_DELAY_MS,
      agingMs: AGING_MS,
      pixels: ({ tile }) => tile.width * tile.height * tile.count,
      clock: systemClock,
      onRan: onBatch,
      start: (items) => {
        const ticket = newTicket();
        return { results: this.#run(items, ticket), revoke: () => revoke(ticket) };
      },
    });
  }

  /** Tiles that are queued for a batch. */
  get depth(): number {
    return this.#scheduler.depth;
  }

  /** The batch on the device: when it started, and its expected duration, in ms; null while the device is idle. */
  get running(): { readonly since: number; readonly expectedMs: number } | null {
    return this.#scheduler.running;
  }

  /** The function that predicts the tiles of one job with one model. */
  for(
    job: string,
    model: PredictModel,
    { priority = 'normal', symmetries = false, threshold = null }: PredictFor = {},
  ): Predict {
    return (tile, output, signal) => {
      const kind = tile.data.constructor.name;
      const { width, height, channels } = tile;
      const group = [model.id, output, symmetries, threshold, width, height, channels, kind].join();
      const item = { model, tile, output, symmetries, threshold };
      const cost = [model.id, output, symmetries].join();
      return this.#scheduler.submit({ group, model: cost, job, priority, item, signal });
    };
  }

  /**
   * The function that computes the steps of a model's self-test: batches of one or several tiles, which are not joined
   * with others. They are few and small, and scheduled as interactive: an image may wait for the outcome.
   */
  testing({ id }: Pick<TestedModel, 'id'>): PredictBatch {
    const model = { id, exact: false };
    return async (batch, output, { symmetries = false, threshold = null }) => {
      const item = { model, tile: batch, output, symmetries, threshold };
      const cost = [id, output, symmetries].join();
      const test = { group: `test of ${id}`, model: cost, job: `test of ${id}`, item };
      return (await this.#scheduler.submit({ ...test, priority: 'interactive' })).result;
    };
  }

  /** Runs a batch. One that runs out of memory is retried once, in halves. */
  async #run(items: readonly Item[], ticket: Ticket): Promise<readonly MaskArray[]> {
    try {
      return await this.#predict(items, ticket);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'out-of-memory')) throw error;
      if (items.length === 1) throw error;
      const middle = Math.ceil(items.length / 2);
      const first = await this.#predict(items.slice(0, middle), null);
      return [...first, ...(await this.#predict(items.slice(middle), null))];
    }
  }

  async #predict(items: readonly Item[], ticket: Ticket | null): Promise<readonly MaskArray[]> {
    const [{ model, output, symmetries, threshold }] = items as [Item];
    const batch = join(items.map(({ tile }) => tile));
    const result = await this.engine.predict(model.id, batch, output, { symmetries, threshold, ticket });
    return split(result, items.length);
  }
}

/** Copies tiles into one batch: it is transferred to the device, and its tiles may be requeued or halved after that. */
function join(tiles: readonly TileBatch[]): TileBatch {
  const [first] = tiles as [TileBatch];
  const { length } = first.data;
  const Pixels = first.data.constructor as typeof Uint8Array;
  const data = new Pixels(tiles.length * length);
  for (const [i, tile] of tiles.entries()) data.set(tile.data, i * length);
  return { ...first, data, count: tiles.reduce((sum, { count }) => sum + count, 0) };
}

function split(result: MaskArray, count: number): MaskArray[] {
  const length = result.length / count;
  return Array.from({ length: count }, (_, i) => result.subarray(i * length, (i + 1) * length));
}
