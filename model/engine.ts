import { Worker } from 'node:worker_threads';
import type { Card } from './card.js';
import { workerThread } from './channel.js';
import type { EngineMethods, LoadedModel, TraineeFacts } from './engine-methods.js';
import type { Environment } from './environment.js';
import { EngineLostError } from './errors.js';
import type { TileBatch } from './frozen.js';
import type { LayerFacts } from './layers.js';
import type { Diagnostics } from './onnx/diagnostics.js';
import { Outcomes } from './outcomes.js';
import type { OutputKind } from './output-kind.js';
import { Connection } from './rpc.js';
import { type GraphUse, selfTest, TEST_THRESHOLD, type TestedNetwork } from './self-test.js';
import type { Ticket } from './ticket.js';
import type { StepOptions, TrainerConfig, TrainingBatch } from './train/trainer.js';

export interface EngineOptions {
  /** ONNX Runtime's execution provider. */
  readonly provider: 'cpu';
  /** Threads inside one operator, at least 1. */
  readonly threads: number;
  /** File that persists the outcomes of self-tests. Default none: they last as long as the engine. */
  readonly outcomes?: string;
  /** For developers: where compiled graphs and their profiles are written. Default nowhere. */
  readonly diagnostics?: Diagnostics;
}

export interface PredictOptions {
  /** Average over the eight symmetries of the square. Default false. */
  readonly symmetries?: boolean;
  /** Of two classes: the least probability of label 1, from 0 to 1. Default null: the more probable label. */
  readonly threshold?: number | null;
  /** Allows the batch to be revoked until it begins. Default null: it cannot be. */
  readonly ticket?: Ticket | null;
}

/** A model that the engine has loaded. */
export interface EngineModel extends LoadedModel {
  /** The machine and the libraries that it runs on. */
  readonly environment: Environment;
}

/** A model whose graph for one use was tested on this device. */
export interface TestedModel extends EngineModel {
  /** Whether its tiles agreed in every bit; see `selfTest`. */
  readonly exact: boolean;
}

/** Computes a batch of a model. */
export type PredictBatch = (
  batch: TileBatch,
  output: OutputKind,
  options: PredictOptions,
) => Promise<Uint8Array | Float32Array>;

/** One device in its own thread, and the models on it. No tensor leaves that thread. */
export class Engine {
  readonly #thread: Connection<EngineMethods>;
  #environment: Promise<Environment> | null = null;

  private constructor(
    private readonly worker: Worker,
    private readonly outcomes: Outcomes,
  ) {
    this.#thread = new Connection(workerThread(worker), {
      onExit: ({ error }) =>
        new EngineLostError(error ? `the engine's thread failed: ${error.message}` : 'the engine is closed'),
    });
  }

  static start(options: EngineOptions): Engine {
    const worker = new Worker(new URL('./engine-thread.js', import.meta.url), { workerData: options });
    return new Engine(worker, new Outcomes(options.outcomes ?? null));
  }

  /** Everything about this machine that may change the bits of a result. */
  environment(): Promise<Environment> {
    this.#environment ??= this.#thread.call('environment', []);
    return this.#environment;
  }

  /**
   * Loads a model folder and freezes it.
   * @throws CheckpointError, InexactModelError (by `code`)
   */
  async load(folder: string): Promise<EngineModel> {
    const loaded = await this.#thread.call('load', [folder]);
    return { ...loaded, environment: await this.environment() };
  }

  /**
   * Whether a network tiles exactly in one use: tested once for the network, the use and the device. The steps of a
   * test are batches like any other, so that jobs go on between them.
   *
   * @param predict computes a step; by default as the next batch of the device
   */
  tested(
    { id, geometry, digest, environment }: EngineModel,
    use: GraphUse,
    predict: PredictBatch = (batch, output, options) => this.predict(id, batch, output, options),
  ): Promise<boolean> {
    const threshold = use.threshold ? TEST_THRESHOLD : null;
    const network: TestedNetwork = {
      geometry,
      predict: (batch, output, symmetries) => predict(batch, output, { symmetries, threshold }),
    };
    return this.outcomes.of({ digest, use, environment }, () => selfTest(network, use));
  }

  /**
   * Segments a batch; its pixels are transferred. See `FrozenModel.predict` for the result's shape.
   * A batch whose ticket is revoked before it begins is not computed: its result is empty.
   */
  predict(
    id: number,
    batch: TileBatch,
    output: OutputKind,
    { symmetries = false, threshold = null, ticket = null }: PredictOptions = {},
  ): Promise<Uint8Array | Float32Array> {
    const request = { id, batch, output, symmetries, threshold, ticket };
    return this.#thread.call('predict', [request], { transfer: [batch.data.buffer as ArrayBuffer] });
  }

  unload(id: number): Promise<void> {
    return this.#thread.call('unload', [id]);
  }

  /** The layers of a model folder, without loading it for use. */
  describe(folder: string): Promise<{ readonly card: Card; readonly layers: readonly LayerFacts[] }> {
    return this.#thread.call('describe', [folder]);
  }

  /** Builds a network to be trained on this device; one at a time. */
  async train(config: TrainerConfig): Promise<Trainee> {
    return new Trainee(this.#thread, await this.#thread.call('train', [config]));
  }

  async close(): Promise<void> {
    await this.#thread.call('close', []).catch(() => undefined);
    await this.worker.terminate();
  }
}

/** A network in training, as the engine's caller sees it. */
export class Trainee {
  constructor(
    private readonly thread: Connection<EngineMethods>,
    readonly facts: TraineeFacts,
  ) {}

  /** One step; returns the loss. The batch's pixels, labels and weights are transferred. */
  step(batch: TrainingBatch, options: StepOptions): Promise<number> {
    const transfer = [batch.pixels.buffer, batch.labels.buffer, batch.weights.buffer] as ArrayBuffer[];
    return this.thread.call('step', [batch, options], { transfer });
  }

  /** Freezes a copy for validation; returns its id, for `Engine.predict` and `Engine.unload`. */
  snapshot(): Promise<number> {
    return this.thread.call('snapshot', []);
  }

  /** Writes the network as a model folder. */
  saveModel(folder: string, card: Omit<Card, 'weights'>): Promise<Card> {
    return this.thread.call('saveModel', [folder, card]);
  }

  /** Writes the state of the training, and `extra`, to a file: whole, or not at all. */
  saveState(path: string, extra: unknown): Promise<void> {
    return this.thread.call('saveState', [path, extra]);
  }

  /**
   * Restores what `saveState` wrote; returns its `extra`.
   * @throws CheckpointError (by `code`)
   */
  loadState(path: string): Promise<unknown> {
    return this.thread.call('loadState', [path]);
  }
}
