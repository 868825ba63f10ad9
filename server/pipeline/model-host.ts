import {
  Engine,
  type EngineMemory,
  type EngineModel,
  type EngineOptions,
  type TestedModel,
} from '../../model/engine.js';
import { deviceFacts } from '../../model/environment.js';
import { channelConversion } from '../../model/pixels.js';
import type { Priority } from '../../model/scheduler.js';
import type { GraphUse, TilingOutcome } from '../../model/self-test.js';
import { type FoundModel, ModelShelf } from '../../model/shelf.js';
import type { Size } from '../../tiling/geometry.js';
import { JobMemory, type JobNeed } from './job-memory.js';
import type { PlanOptions } from './job-plan.js';
import { LoadedModels } from './loaded-models.js';
import { LANE_HEAP_MB, loadedBytes, plannableBytes, sharedBytes } from './memory.js';
import { TilePredictor } from './predict.js';
import { Tuner, type TunerOptions } from './tuner.js';
import type { Measurement, Tuning } from './tuning.js';

export interface ModelHostOptions {
  readonly modelsDir: string;
  readonly engine: EngineOptions;
  /** Bytes of memory that the process may take, the tile cache included. Default unlimited. */
  readonly memory?: number;
  /** Bytes of `memory` for the results of tiles that occur more than once. Default 0: every tile is computed. */
  readonly tileCacheBytes?: number;
  /** File that persists what was measured of models, and chosen, in a folder that exists. Default none. */
  readonly tunings?: string;
  /** Called with a model before it is measured for a job. */
  readonly onSearch?: TunerOptions['onSearch'];
  /** Called with how a model is computed, when that was measured or read. */
  readonly onChoice?: TunerOptions['onChoice'];
  /** Called after each batch: its tiles, and its share of the device's time, in ms. */
  readonly onBatch?: (tiles: number, deviceMs: number) => void;
}

/** The outcome of what there is no test of. */
const UNTESTED: TilingOutcome = { exact: false, largestDifference: null };

/** Memory in bytes, by what it is for. */
export interface ModelHostMemory extends EngineMemory {
  /** Chunks, tiles and bands of running jobs. */
  readonly jobs: number;
}

/**
 * Hosts models on a device: its engine, the models that it has loaded, how each of them is computed there, and the memory
 * that they share with jobs. It opens no image, so that it can start before what decodes them is loaded.
 */
export class ModelHost {
  readonly predictor: TilePredictor;
  /** What plans are made with. */
  readonly planning: Required<Pick<PlanOptions, 'memory' | 'reserved' | 'tileCache'>> &
    Pick<PlanOptions, 'batch'>;
  readonly #engine: Engine;
  readonly #models: LoadedModels;
  readonly #tuner: Tuner;
  readonly #jobs: JobMemory;

  constructor(options: ModelHostOptions) {
    const { memory: limit = Number.POSITIVE_INFINITY, tileCacheBytes: tileCache = 0 } = options;
    const isLimited = limit !== Number.POSITIVE_INFINITY;
    const engine = Engine.start({ ...options.engine, ...(isLimited && { heapMb: LANE_HEAP_MB }) });
    this.#engine = engine;
    const shelf = new ModelShelf(options.modelsDir);
    this.#models = new LoadedModels(shelf, engine, loadedBytes(limit, engine.threads));
    const plannable = plannableBytes(limit);
    const { batch } = options.engine;
    this.planning = { memory: limit, reserved: isLimited ? limit - plannable : 0, tileCache, batch };
    const shared = sharedBytes(limit, tileCache);
    engine.limit = shared;
    this.#jobs = new JobMemory(shared, (jobBytes) => {
      engine.limit = shared - jobBytes;
    });
    this.predictor = new TilePredictor(engine, options.onBatch);
    this.#tuner = new Tuner(this.predictor, {
      ...options.engine,
      memory: plannable - tileCache,
      path: options.tunings ?? null,
      onSearch: options.onSearch,
      onChoice: options.onChoice,
    });
  }

  /** The batches that run, in ms. */
  get batches(): readonly { readonly ranMs: number; readonly expectedMs: number }[] {
    const now = performance.now();
    return this.predictor.running.map(({ since, expectedMs }) => ({ ranMs: now - since, expectedMs }));
  }

  /** What is taken, as estimated. */
  get memory(): ModelHostMemory {
    return { ...this.#engine.memory, jobs: this.#jobs.taken };
  }

  /** Finds a model, which stays loaded for the time of `work`, once it is; see `LoadedModels.use`. */
  use<Result>(name: string | undefined, work: (model: FoundModel) => Promise<Result>): Promise<Result> {
    return this.#models.use(name, work);
  }

  /**
   * Loads a model, chooses how it is computed, and tests it so. Called within `use`.
   * @param now the image that is to be segmented, and the signal that interrupts a search; null to search for nothing
   */
  async tested(
    found: FoundModel,
    use: GraphUse,
    now: { readonly size: Size; readonly signal: AbortSignal } | null,
  ): Promise<TestedModel> {
    const loaded = await this.#models.load(found);
    const isUsable = channelConversion(use.channels, loaded.card.inputChannels) !== null;
    const choice = await this.#tuner.choiceFor(loaded, use, isUsable ? now : null);
    // What the model cannot take is refused where the job is prepared: there is no graph of it to be tested.
    const outcome = isUsable ? await this.tilingOf(loaded, use, choice.threads) : UNTESTED;
    return { ...loaded, choice, ...outcome };
  }

  /** Tests the very graph on this device that an image and its outputs need, with a number of threads. */
  tilingOf(model: EngineModel, use: GraphUse, threads: number): Promise<TilingOutcome> {
    return this.#engine.tested(model, use, threads, this.predictor.testing(model.id));
  }

  /** Starts lanes for a model before its first batches; see `Engine.prepare`. */
  prepare(id: number, lanes: number): void {
    this.#engine.prepare(id, lanes);
  }

  /** Runs a job in its share of the memory; see `JobMemory.withMemory`. */
  withMemory<Result>(
    need: JobNeed,
    priority: Priority,
    signal: AbortSignal,
    work: () => Promise<Result>,
  ): Promise<Result> {
    return this.#jobs.withMemory(need, priority, signal, work);
  }

  /** What was measured of a model, and chosen; undefined where nothing was. */
  tuningOf(name: string): Promise<Tuning | undefined> {
    return this.use(name, async (found) => this.#tuner.known(await this.#models.load(found)));
  }

  /**
   * Measures every way to compute a model, and stores the choice.
   * @param onMeasured called with each way, and its Mpx of output a second
   */
  tune(
    name: string,
    signal: AbortSignal,
    onMeasured: (measurement: Measurement) => void,
  ): Promise<{ readonly tuning: Tuning; readonly device: string }> {
    return this.use(name, async (found) => {
      const model = await this.#models.load(found);
      const use = { output: 'labels', channels: model.card.inputChannels } as const;
      const tuning = await this.#tuner.measureAll(model, use, signal, onMeasured);
      return { tuning, device: deviceFacts(model.environment, tuning.choice).device };
    });
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }
}
