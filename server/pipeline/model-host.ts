import { deviceFacts, type Environment } from '../../model/devices/environment.js';
import type { Engine, EngineMemory, EngineModel, TestedModel } from '../../model/engine/engine.js';
import type { DeviceState } from '../../model/engine/lanes.js';
import { type EngineRequest, type OpenedEngine, openEngine } from '../../model/engine/open-engine.js';
import type { GraphUse, TilingOutcome } from '../../model/exactness/self-test.js';
import { channelConversion } from '../../model/network/pixels.js';
import type { Priority } from '../../model/scheduler/priority.js';
import type { RanBatch } from '../../model/scheduler/scheduler.js';
import { scaledOf } from '../../model/shelf/card.js';
import { type FoundModel, ModelShelf } from '../../model/shelf/shelf.js';
import type { Size } from '../../tiling/geometry.js';
import { untilAborted } from '../storage/until-aborted.js';
import { BatchShapes, type ShapeChoice, type ShapedJob, type Turn } from './batch-shapes.js';
import { DeviceWatch, type HungAfter } from './device-watch.js';
import { JobMemory, type JobNeed } from './job-memory.js';
import type { PlanOptions } from './job-plan.js';
import { LoadedModels } from './loaded-models.js';
import { LANE_HEAP_MB, loadedBytes, plannableBytes, sharedBytes, withoutEngine } from './memory.js';
import { TilePredictor } from './predict.js';
import { Tuner, type TunerOptions } from './tuner.js';
import type { Measurement, Tuning } from './tuning.js';

export interface ModelHostOptions {
  readonly modelsDir: string;
  readonly engine: EngineRequest;
  /** Bytes of memory that the process may take, the tile cache included. Default unlimited. */
  readonly memory?: number;
  /** Bytes of `memory` for the results of tiles that occur more than once. Default 0: every tile is computed. */
  readonly tileCacheBytes?: number;
  /** How long a batch may run on a device, before its process is ended. Default 60 s, or twenty times its expected time. */
  readonly hungAfter?: HungAfter;
  /** File that persists what was measured of models, and chosen, in a folder that exists. Default none. */
  readonly tunings?: string;
  /** Called with a model before it is measured for a job. */
  readonly onSearch?: TunerOptions['onSearch'];
  /** Called with how a model is computed, when that was measured or read. */
  readonly onChoice?: TunerOptions['onChoice'];
  /** Called with a graph, and the GPUs on which its tiles are to be tested, which may take a minute. */
  readonly onSlowTest?: (model: EngineModel, use: GraphUse, devices: readonly string[]) => void;
  /** Called with a graph that an image needs, when the outcome of its test is known. */
  readonly onTiling?: (model: EngineModel, use: GraphUse, outcome: TilingOutcome) => void;
  /** Called after each batch; its items are tiles. */
  readonly onBatch?: (batch: RanBatch) => void;
  /** Called when no device is left, with the jobs, or tests, that have tiles with which one was lost. */
  readonly onGone?: (suspects: readonly string[]) => void;
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
  readonly planning: Required<Pick<PlanOptions, 'memory' | 'reserved' | 'tileCache' | 'laneThreads'>> &
    Pick<PlanOptions, 'batch' | 'gpuBytes'>;
  readonly #engine: Engine;
  readonly #models: LoadedModels;
  readonly #tuner: Tuner;
  readonly #shapes: BatchShapes;
  readonly #closing = new AbortController();
  readonly #jobs: JobMemory;
  readonly #watch: DeviceWatch;
  readonly #onTiling: ModelHostOptions['onTiling'];
  readonly #onSlowTest: ModelHostOptions['onSlowTest'];
  /** Why the requested `auto` is no GPU; null where it is one, or was not requested. */
  readonly fallback: string | null;
  /** Whether the devices are a GPU that `auto` has chosen: where it is lost, the CPU goes on. */
  readonly isAutoGpu: boolean;

  /**
   * Starts the engine on its devices.
   * @throws DeviceUnavailableError where none of those that are requested works
   */
  static async open(options: ModelHostOptions): Promise<ModelHost> {
    const isLimited = options.memory !== undefined && options.memory !== Number.POSITIVE_INFINITY;
    const request = { ...options.engine, ...(isLimited && { heapMb: LANE_HEAP_MB }) };
    return new ModelHost(options, await openEngine(request));
  }

  private constructor(options: ModelHostOptions, { engine, fallback }: OpenedEngine) {
    const { memory: limit = Number.POSITIVE_INFINITY, tileCacheBytes: tileCache = 0 } = options;
    const isLimited = limit !== Number.POSITIVE_INFINITY;
    this.#engine = engine;
    this.fallback = fallback;
    this.isAutoGpu = options.engine.provider === 'auto' && fallback === null;
    const shelf = new ModelShelf(options.modelsDir);
    this.#models = new LoadedModels(shelf, engine, loadedBytes(limit, engine.threads));
    const own = withoutEngine(limit, options.engine, engine.devices.length);
    const plannable = plannableBytes(own);
    const { batch } = options.engine;
    const reserved = isLimited ? limit - plannable : 0;
    const { gpuBytes, laneThreads } = engine;
    this.planning = { memory: limit, reserved, tileCache, batch, laneThreads, gpuBytes };
    const shared = sharedBytes(own, tileCache);
    engine.limit = shared;
    this.#jobs = new JobMemory(shared, (jobBytes) => {
      engine.limit = shared - jobBytes;
    });
    this.#onTiling = options.onTiling;
    this.#onSlowTest = options.onSlowTest;
    this.predictor = new TilePredictor(engine, options.onBatch, options.onGone);
    this.#shapes = new BatchShapes(engine, this.predictor, this.#jobs, this.#models, this.#closing.signal);
    this.#tuner = new Tuner(this.predictor, {
      provider: engine.provider,
      threads: engine.threads,
      lanes: engine.lanes,
      memory: plannable - tileCache,
      gpuBytes,
      path: options.tunings ?? null,
      onSearch: options.onSearch,
      onChoice: options.onChoice,
    });
    this.#watch = new DeviceWatch(engine, this.predictor, options.hungAfter);
  }

  /** The batches that run in threads of this process, in ms: those of devices are watched here. */
  get batches(): readonly { readonly ranMs: number; readonly expectedMs: number }[] {
    if (this.#engine.hasDevices) return [];
    const now = performance.now();
    return this.predictor.running.map(({ since, expectedMs }) => ({ ranMs: now - since, expectedMs }));
  }

  /** What is known of the devices; none where lanes are threads of this process. */
  get devices(): readonly DeviceState[] {
    return this.#engine.devices;
  }

  /** Of the devices that have started. */
  get deviceNames(): readonly string[] {
    return this.devices.filter(({ environment }) => environment !== null).map(({ name }) => name);
  }

  /** Everything about this machine that may change the bits of a result. */
  environment(): Promise<Environment> {
    return this.#engine.environment();
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
   * @param size of the image that is to be segmented; null to search for nothing
   * @param signal interrupts a search, and ends the wait for a test; see `tilingOf`
   */
  async tested(
    found: FoundModel,
    use: GraphUse,
    size: Size | null,
    signal: AbortSignal,
  ): Promise<TestedModel> {
    const loaded = await this.#models.load(found);
    const isUsable = channelConversion(use.channels, loaded.card.inputChannels) !== null;
    const now = isUsable && size ? { size, signal } : null;
    const choice = await this.#tuner.choiceFor(loaded, use, now);
    // What the model cannot take is refused where the job is prepared: there is no graph of it to be tested.
    const outcome = isUsable ? await this.tilingOf(found, loaded, use, choice.threads, signal) : UNTESTED;
    return { ...loaded, choice, ...outcome };
  }

  /**
   * Tests the very graph on this device that an image and its outputs need, with a number of threads.
   * @param signal ends the wait: the test, which may be that of other jobs, too, goes on, and its model stays loaded
   */
  tilingOf(
    found: FoundModel,
    model: EngineModel,
    use: GraphUse,
    threads: number,
    signal: AbortSignal,
  ): Promise<TilingOutcome> {
    const outcome = this.#models.hold(found, async () => {
      const isSlow = this.#engine.provider !== 'cpu';
      if (isSlow && !(await this.#engine.tests.known(model, use, threads))) {
        this.#onSlowTest?.(model, use, this.deviceNames);
      }
      const tiling = await this.#engine.tested(model, use, threads, this.predictor.testing(model.id));
      this.#onTiling?.(model, use, tiling);
      return tiling;
    });
    return untilAborted(outcome, signal);
  }

  /** Tests the shapes of batches that a job needs on a GPU; see `BatchShapes.of`. */
  async shapesOf(job: ShapedJob, use: GraphUse, turn: Turn): Promise<ShapeChoice | null> {
    const found = await this.#shapes.of(job, use, turn);
    if (found && job.model.exact && !found.exact) this.#onTiling?.(job.model, use, found);
    return found;
  }

  /** The outcome of the test that `tested` makes of a model and its use, where it was made before. */
  async knownTiling(found: FoundModel, use: GraphUse): Promise<TilingOutcome | undefined> {
    const loaded = await this.#models.load(found);
    const { threads } = await this.#tuner.choiceFor(loaded, use, null);
    return this.#engine.tests.known(loaded, use, threads);
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
      const { card } = model;
      const use = { output: 'labels', channels: card.inputChannels, ...scaledOf(card) } as const;
      const tuning = await this.#tuner.measureAll(model, use, signal, onMeasured);
      return { tuning, device: deviceFacts(model.environment, tuning.choice, this.deviceNames).device };
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#watch.stop();
    await this.#engine.close();
  }
}
