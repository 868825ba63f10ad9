import { Worker } from 'node:worker_threads';
import { workerThread } from './channel.js';
import type { EngineMethods, LaneData, LaneOptions, LoadedModel } from './engine-methods.js';
import { EngineLostError } from './errors.js';
import { type ArgsOf, type CallOptions, Connection, type ResultOf } from './rpc.js';

/** Memory of new objects of a thread with a limited heap, in MB. */
const YOUNG_MB = 8;

const limitsOf = ({ heapMb }: LaneOptions) =>
  heapMb === undefined
    ? {}
    : { resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: YOUNG_MB } };

/** One JavaScript thread of a device, with its own copies of models and their sessions. No tensor leaves it. */
export class Lane {
  readonly #worker: Worker;
  readonly #thread: Connection<EngineMethods>;
  /** Of the models that it has loaded, or is loading, by their ids. */
  readonly #loading = new Map<number, Promise<LoadedModel>>();

  /** @param index of the lane, from 0 */
  constructor(index: number, options: LaneOptions) {
    const workerData: LaneData = { ...options, lane: index };
    this.#worker = new Worker(new URL('./engine-thread.js', import.meta.url), {
      workerData,
      ...limitsOf(options),
    });
    this.#thread = new Connection(workerThread(this.#worker), {
      onExit: ({ error }) =>
        new EngineLostError(error ? `a lane of the engine failed: ${error.message}` : 'the engine is closed'),
    });
  }

  /** Calls run one after the other, in the order of their arrival. */
  call<Name extends keyof EngineMethods>(
    name: Name,
    args: ArgsOf<EngineMethods[Name]>,
    options?: CallOptions<never>,
  ): Promise<ResultOf<EngineMethods[Name]>> {
    return this.#thread.call(name, args, options as never);
  }

  /** Loads a model, unless it is loaded or being loaded; see `EngineMethods.load`. */
  load(id: number, folder: string, digest: string | null): Promise<LoadedModel> {
    const known = this.#loading.get(id);
    if (known) return known;
    const loading = this.call('load', [id, folder, digest]);
    this.#loading.set(id, loading);
    loading.catch(() => this.#loading.delete(id));
    return loading;
  }

  async unload(id: number): Promise<void> {
    this.#loading.delete(id);
    await this.call('unload', [id]);
  }

  async close(): Promise<void> {
    await this.call('close', []).catch(() => undefined);
    await this.#worker.terminate();
  }
}
