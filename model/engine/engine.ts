import type { ComputeChoice } from '../compute-choice.js';
import { type Precision, type Provider, takesBytes } from '../devices/device.js';
import type { Environment } from '../devices/environment.js';
import { DeviceKillerError, DeviceUnavailableError } from '../errors.js';
import type { GraphUse, TilingOutcome } from '../exactness/self-test.js';
import { TilingTests } from '../exactness/tiling-tests.js';
import type { ExportedModel, ExportRequest } from '../exchange/export-model.js';
import type { BatchUse, TileBatch } from '../network/frozen.js';
import type { LayerFacts } from '../network/layers.js';
import type { OutputKind } from '../network/output-kind.js';
import type { Card } from '../shelf/card.js';
import type { TrainerConfig } from '../train/trainer.js';
import { Calibration } from './calibration.js';
import type {
  ImportedLayers,
  InspectedOnnx,
  LayersSource,
  LoadedModel,
  NetworkTensor,
  OnnxInspection,
} from './engine-methods.js';
import type { Lane } from './lane.js';
import { type DeviceState, Lanes, type LanesOptions } from './lanes.js';
import type { PredictBatch, PredictOptions } from './predict-batch.js';
import { gpuBytesOf, LANE_BYTES, modelBytes } from './session-bytes.js';
import { type BatchNeed, SessionMemory } from './session-memory.js';
import { Trainee } from './trainee.js';

export interface EngineOptions extends LanesOptions {
  /** Lanes at most, from 1 to `threads`. Default: as many as suit a model; see `divideThreads`. Devices have one each. */
  readonly lanes?: number;
  /** Tiles of a batch, from 1 to `MAX_BATCH`. Default: as many as suit a model. */
  readonly batch?: number;
  /**
   * File that persists the outcomes of self-tests; those of shapes are in one beside it. Default none: they last as long
   * as the engine.
   */
  readonly outcomes?: string;
}

/** Devices that are lost while they load a model, before it is taken for the cause: one tile alone costs two of them. */
const MAX_LOSSES = 3;

/** A model that the engine has loaded. */
export interface EngineModel extends LoadedModel {
  readonly id: number;
  /** The machine and the libraries that it runs on. */
  readonly environment: Environment;
}

/** A model whose graph for one use was tested on this device. */
export interface TestedModel extends EngineModel, TilingOutcome {
  readonly choice: ComputeChoice;
}

/** Memory of an engine in bytes, by what it is for: see `unseam_memory_bytes`. */
export interface EngineMemory {
  readonly weights: number;
  readonly sessions: number;
  readonly arenas: number;
}

/**
 * A pool of lanes, each with its own copies of models and their sessions. They are threads of this process, which share
 * its CPU; or devices, each in a process of its own. A lane runs one batch at a time, of any number of threads; who calls
 * it sees that all of them together do not exceed those that there are.
 *
 * The first lane is started with the engine, and devices are all; the first that works loads every model, and trains.
 * Another lane is started, and loads a model, with the first batch that is computed there.
 */
export class Engine {
  readonly #lanes: Lanes;
  /** Those that were loaded from folders: any lane may have them. */
  readonly #models = new Map<number, { readonly folder: string; readonly model: LoadedModel }>();
  /** Copies of networks in training: the lane that trains has them, and no other. */
  readonly #snapshots = new Map<number, Lane>();
  readonly #sessions = new SessionMemory({
    host: () => this.limit - this.#weightBytes,
    gpu: () => this.gpuBytes,
  });
  /** Bytes that lanes, models and sessions may take; changes hold from the next batch on. */
  limit = Number.POSITIVE_INFINITY;
  readonly tests: TilingTests;
  #nextId = 0;
  #environment: Promise<Environment> | null = null;

  private constructor(private readonly options: EngineOptions) {
    const { provider, threads } = options;
    this.tests = new TilingTests({ provider, threads }, options.outcomes ?? null);
    this.#lanes = new Lanes(options);
    this.#lanes.at(0);
  }

  /** Starts an engine whose lanes are threads of this process; `open` takes devices, too. */
  static start(options: Omit<EngineOptions, 'devices'>): Engine {
    return new Engine(options);
  }

  /**
   * Starts an engine, and its devices.
   * @throws DeviceUnavailableError (by `code`) where none of the devices works
   */
  static async open(options: EngineOptions): Promise<Engine> {
    const engine = new Engine(options);
    try {
      await engine.#lanes.open();
      if (options.tensorflow) await engine.#requireTensorFlow();
      return engine;
    } catch (error) {
      await engine.close();
      throw error;
    }
  }

  /** A library that cannot be loaded ends its lane: whoever opens the engine learns why. */
  async #requireTensorFlow(): Promise<void> {
    await this.environment().catch((cause: Error) => {
      throw new DeviceUnavailableError(cause.message, { cause });
    });
  }

  get provider(): Provider {
    return this.options.provider;
  }

  get precision(): Precision {
    return this.options.precision ?? 'fp32';
  }

  /** Of all lanes together. */
  get threads(): number {
    return Math.max(1, this.options.devices?.length ?? 0) * this.options.threads;
  }

  /** Threads of a batch, at most: none is divided between devices. */
  get laneThreads(): number {
    return this.options.threads;
  }

  /** The number of lanes, where it is given: that of the devices, or the requested one. */
  get lanes(): number | undefined {
    return this.#lanes.areDevices ? this.options.devices!.length : this.options.lanes;
  }

  /** Whether each lane is a device in a process of its own. */
  get hasDevices(): boolean {
    return this.#lanes.areDevices;
  }

  /** Bytes of each GPU's memory that models may take, infinite where it is not known; undefined on the CPU. */
  get gpuBytes(): number | undefined {
    if (this.provider === 'cpu') return undefined;
    return gpuBytesOf(this.#ofDevices?.gpu?.memoryBytes ?? null);
  }

  /** What is known of the devices; none where lanes are threads of this process. */
  get devices(): readonly DeviceState[] {
    return this.#lanes.states;
  }

  /**
   * Starts a lost device again; null where lanes are threads of this process, whose loss is the engine's.
   * @throws EngineLostError where it stays lost, and no other is left
   */
  recover(lane: number): Promise<void> | null {
    return this.#lanes.areDevices ? this.#lanes.recover(lane) : null;
  }

  /** Until when a lane computes nothing, since its device is lost; null where it works. */
  lost(lane: number): Promise<void> | null {
    return this.#lanes.lost(lane);
  }

  /**
   * Ends the process of a device that hangs: its calls reject. Does nothing where lanes are threads of this process.
   * @param reason what it did, for `devices`
   */
  async endDevice(lane: number, reason: string): Promise<void> {
    if (this.#lanes.areDevices) await this.#lanes.end(lane, reason);
  }

  /** What lanes, models and sessions take of the host's memory, as estimated. */
  get memory(): EngineMemory {
    return { weights: this.#weightBytes, ...this.#sessions.bytes };
  }

  /** Everything about this machine that may change the bits of a result. */
  environment(): Promise<Environment> {
    const known = this.#ofDevices;
    this.#environment ??= known ? Promise.resolve(known) : this.#lanes.at(0).call('environment', []);
    return this.#environment;
  }

  /**
   * Loads a model folder and freezes it.
   * @throws CheckpointError, InexactModelError, UnquantisableLayerError (by `code`)
   * @throws DeviceKillerError where devices are lost with it; EngineLostError where none is left
   */
  async load(folder: string): Promise<EngineModel> {
    const id = this.#nextId++;
    const loaded = await this.#onWorking((lane) => lane.load(id, folder, null));
    this.#models.set(id, { folder, model: loaded });
    return { ...loaded, id, environment: await this.environment() };
  }

  /**
   * Whether, or how nearly, a network tiles exactly in one use; see `TilingTests.tiling`.
   *
   * @param threads of a batch in a lane
   * @param predict computes a step; by default as the next batch of the first lane
   */
  tested(
    model: EngineModel,
    use: GraphUse,
    threads: number = this.laneThreads,
    predict: PredictBatch = (batch, output, options) => this.predict(model.id, batch, output, options),
  ): Promise<TilingOutcome> {
    return this.tests.tiling(model, use, threads, predict);
  }

  /**
   * Segments a batch; its pixels are transferred. See `FrozenModel.predict` for the result's shape.
   * A batch whose ticket is revoked before it begins is not computed: its result is empty.
   * @throws EngineLostError where its device is lost; DeviceUnavailableError where that had the only copy of the model
   */
  async predict(
    id: number,
    batch: TileBatch,
    output: OutputKind,
    {
      symmetries = false,
      threshold = null,
      ticket = null,
      lane: index = 0,
      threads = this.laneThreads,
    }: PredictOptions = {},
  ): Promise<Uint8Array | Float32Array> {
    const known = this.#models.get(id);
    if (this.#snapshots.get(id)?.isLost) {
      throw new DeviceUnavailableError('the device was lost, and with it the network that was trained');
    }
    const compute = async () => {
      const lane = this.#lanes.at(index); // another one where it was lost while this batch waited for memory
      const loading = known && lane.load(id, known.folder, known.model.digest);
      const request = { id, batch, output, symmetries, threshold, threads, ticket };
      const predicted = lane.call('predict', [request], { transfer: [batch.data.buffer as ArrayBuffer] });
      const [, values] = await Promise.all([loading, predicted]);
      return values;
    };
    const isUnlimited = [this.limit, this.gpuBytes ?? this.limit].every(
      (limit) => limit === Number.POSITIVE_INFINITY,
    );
    if (!known || isUnlimited) return compute();
    const isOfBytes = takesBytes(this.provider) && batch.data instanceof Uint8Array;
    const { channels } = batch;
    const isThresholded = threshold !== null;
    const isScaled = batch.scale !== undefined;
    const use: BatchUse = { output, symmetries, isThresholded, channels, isOfBytes, isScaled };
    const need: BatchNeed = {
      lane: index,
      key: JSON.stringify([index, id, threads, use]),
      model: id,
      card: known.model.card,
      px: batch.count * batch.width * batch.height,
      release: () => {
        const lane = this.#lanes.at(index);
        return lane.callLimited('release', [id, use, threads]).catch(ignoreIfLost(lane));
      },
    };
    return this.#sessions.run(need, compute);
  }

  /** Starts lanes, and loads a model there, before the first batches need it. Failures are those of these batches. */
  prepare(id: number, lanes: number): void {
    const origin = this.#models.get(id);
    for (let index = 1; origin && index < lanes; index++) {
      this.#lanes
        .at(index)
        .load(id, origin.folder, origin.model.digest)
        .catch(() => undefined);
    }
  }

  async unload(id: number): Promise<void> {
    this.#models.delete(id);
    this.#snapshots.delete(id);
    await Promise.all(this.#lanes.started.map((lane) => lane.unload(id).catch(ignoreIfLost(lane))));
    this.#sessions.forget(id);
  }

  /** The layers of a model folder, without loading it for use. */
  async describe(folder: string): Promise<{ readonly card: Card; readonly layers: readonly LayerFacts[] }> {
    return (await this.#lanes.working()).callLimited('describe', [folder]);
  }

  /**
   * What an ONNX file has.
   * @throws OnnxFileError, UnsupportedNodeError, InexactModelError (by `code`)
   */
  async inspectOnnx(path: string, options: OnnxInspection = {}): Promise<InspectedOnnx> {
    return (await this.#lanes.working()).callLimited('inspectOnnx', [path, options]);
  }

  /**
   * Builds a network of somebody else's layers.
   * @throws InexactModelError, PackageError (by `code`)
   */
  async importLayers(source: LayersSource): Promise<ImportedLayers> {
    return (await this.#lanes.working()).callLimited('importLayers', [source]);
  }

  /** What the network of a model folder itself returns for one image, its border and its last layer included. */
  async compute(folder: string, image: NetworkTensor): Promise<NetworkTensor> {
    return (await this.#lanes.working()).callLimited('compute', [folder, image]);
  }

  /**
   * A model for other programs, without loading it for use, and what it computes of a test image.
   * @throws ModelChoiceError (by `code`) for a quantised version, and as `exportModel`
   */
  async exportModel(folder: string, request: ExportRequest): Promise<ExportedModel> {
    return (await this.#lanes.working()).callLimited('exportModel', [folder, request]);
  }

  /** The network of a model alone, as ONNX. */
  async exportNetwork(folder: string): Promise<Uint8Array> {
    return (await this.#lanes.working()).callLimited('exportNetwork', [folder]);
  }

  /**
   * Starts to find the ranges of a model's feature maps; one at a time.
   * @throws CheckpointError, UnquantisableLayerError (by `code`)
   */
  async calibrate(folder: string): Promise<Calibration> {
    const lane = await this.#lanes.working();
    await lane.callLimited('calibrate', [folder]);
    return new Calibration(lane);
  }

  /** Builds a network to be trained on this device; one at a time. */
  async train(config: TrainerConfig): Promise<Trainee> {
    const lane = await this.#lanes.working();
    const facts = await lane.callLimited('train', [config]);
    return new Trainee(lane, facts, () => {
      const id = this.#nextId++;
      this.#snapshots.set(id, lane);
      return id;
    });
  }

  async close(): Promise<void> {
    await this.#lanes.close();
  }

  /**
   * Calls a device that works; another one, or the same one again, where it is lost meanwhile.
   * @throws DeviceKillerError where that happens repeatedly
   */
  async #onWorking<Result>(call: (lane: Lane) => Promise<Result>): Promise<Result> {
    for (let losses = 1; ; losses++) {
      const lane = await this.#lanes.working();
      try {
        return await call(lane);
      } catch (error) {
        if (!this.hasDevices || !lane.isLost) throw error;
        if (losses === MAX_LOSSES) throw new DeviceKillerError('a model', error);
      }
    }
  }

  /** The environment that devices have stated when they were started; undefined for threads of this process. */
  get #ofDevices(): Environment | undefined {
    return this.devices.find(({ environment }) => environment !== null)?.environment ?? undefined;
  }

  /** Of lanes beside the first, and of models in all of them: in each, at most. */
  get #weightBytes(): number {
    const models = [...this.#models.values()].reduce((sum, { model }) => sum + modelBytes(model.card), 0);
    const lanes = this.#lanes.started.length;
    return Math.max(0, lanes - 1) * LANE_BYTES + lanes * models;
  }
}

/** A lane that has ended has nothing to release. */
const ignoreIfLost = (lane: Lane) => (error: unknown) => {
  if (!lane.isLost) throw error;
};
