import { Batcher, systemClock } from '../model/batcher.js';
import type { Card } from '../model/card.js';
import type { Engine, EngineModel } from '../model/engine.js';
import type { OutputKind, TileBatch } from '../model/frozen.js';
import type { MaskArray } from '../tiling/sink.js';
import { BATCH_PX, batchPixels } from './memory.js';
import type { Predict } from './segment.js';

const MAX_BATCH = 16;
const MAX_DELAY_MS = 2;

/** What of a model decides about its batches. */
export type PredictModel = Pick<EngineModel, 'id' | 'exact'> & {
  readonly card?: Pick<Card, 'architecture'>;
};

interface Item {
  readonly model: PredictModel;
  readonly tile: TileBatch;
  readonly output: OutputKind;
  readonly symmetries: boolean;
}

/** Puts tiles of all jobs that an engine works on into shared batches. */
export class TilePredictor {
  readonly #batcher: Batcher<Item, MaskArray>;

  /**
   * @param onBatch called after each batch with its tiles and how long the device ran, in ms
   * @param memory bytes that batches are made to fit into
   */
  constructor(
    engine: Engine,
    onBatch: (tiles: number, ranMs: number) => void = () => {},
    memory = Number.POSITIVE_INFINITY,
  ) {
    this.#batcher = new Batcher<Item, MaskArray>({
      maxBatch: ({ model, tile }) => {
        const pixels = model.card ? batchPixels(model.card, memory) : BATCH_PX;
        const fitting = Math.floor(pixels / (tile.width * tile.height));
        return model.exact ? Math.min(MAX_BATCH, Math.max(1, fitting)) : 1;
      },
      maxDelayMs: MAX_DELAY_MS,
      maxInFlight: 2,
      clock: systemClock,
      run: async (items) => {
        const started = performance.now();
        const [{ model, output, symmetries }] = items as [Item];
        const results = split(
          await engine.predict(model.id, join(items.map(({ tile }) => tile)), output, symmetries),
          items.length,
        );
        onBatch(items.length, performance.now() - started);
        return results;
      },
    });
  }

  /** Tiles that wait for a batch. */
  get depth(): number {
    return this.#batcher.depth;
  }

  /**
   * How one job has its tiles segmented by one model.
   * @param symmetries average over the eight symmetries of the square
   */
  for(job: string, model: PredictModel, symmetries = false): Predict {
    return (tile, output, signal) => {
      const kind = tile.data.constructor.name;
      const group = [model.id, output, symmetries, tile.width, tile.height, tile.channels, kind].join();
      return this.#batcher.submit({ group, job, item: { model, tile, output, symmetries }, signal });
    };
  }
}

function join(tiles: readonly TileBatch[]): TileBatch {
  const [first] = tiles as [TileBatch];
  if (tiles.length === 1) return first;
  const { length } = first.data;
  const Pixels = first.data.constructor as typeof Uint8Array;
  const data = new Pixels(tiles.length * length);
  for (const [i, tile] of tiles.entries()) data.set(tile.data, i * length);
  return { ...first, data, count: tiles.length };
}

function split(result: MaskArray, count: number): MaskArray[] {
  const length = result.length / count;
  return Array.from({ length: count }, (_, i) => result.subarray(i * length, (i + 1) * length));
}
