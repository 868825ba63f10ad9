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

interface Started {
  readonly worker: Worker;
  readonly thread: Connection<EngineMethods>;
}

/** Starts the thread of a lane, which inherits from this one that denormals are flushed. */
async function start(workerData: LaneData): Promise<Started> {
  const { flushDenormals } = await import('./flush-denormals.js');
  await flushDenormals();
  const url = new URL('./engine-thread.js', import.meta.url);
  const worker = new Worker(url, { workerData, ...limitsOf(workerData) });
  const thread = new Connection<EngineMethods>(workerThread(worker), {
    onExit: ({ error }) =>
      new EngineLostError(error ? `a lane of the engine failed: ${error.message}` : 'the engine is closed'),
  });
  return { worker, thread };
}

/** One JavaScript thread of a device, with its own copies of models and their sessions. No tensor leaves it. */
export class Lane {
  readonly #started: Promise<Started>;
  /** Of the models that it has loaded, or is loading, by their ids. */
  readonly #loading = new Map<number, Promise<LoadedModel>>();

  /** @param index of the lane, from 0 */
  constructor(index: number, options: LaneOptions) {
    this.#started = start({ ...options, lane: index });
    this.#started.catch(() => undefined); // reported by the calls
  }

  /** Calls run one after the other, in the order of their arrival. */
  async call<Name extends keyof EngineMethods>(
    name: Name,
    args: ArgsOf<EngineMethods[Name]>,
    options?: CallOptions<never>,
  ): Promise<ResultOf<EngineMethods[Name]>> {
    const { thread } = await this.#started;
    return thread.call(name, args, options as never);
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
    await (await this.#started).worker.terminate();
  }
}
