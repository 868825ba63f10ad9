import { setTimeout as delay } from 'node:timers/promises';
import { EngineLostError, isFailureOfGraph } from '../errors.js';
import type { EngineMethods, LaneData, LoadedModel } from './engine-methods.js';
import type { ArgsOf, CallOptions, ResultOf } from './rpc.js';
import { type StartedLane, startProcess, startThread } from './start-lane.js';

/** How long a lane may take to end by itself, in ms. */
const CLOSE_MS = 5000;
/** How long a device may take for a call whose duration is not known, with the batches before it, until it is ended, in ms. */
const CALL_MS = 300_000;

/** One JavaScript thread of an engine, with its own copies of models and their sessions. No tensor leaves it. */
export class Lane {
  readonly #started: Promise<StartedLane>;
  /** Of the models that it has loaded, or is loading, by their ids. */
  readonly #loading = new Map<number, Promise<LoadedModel>>();
  #isLost = false;
  #reason: string | null = null;
  /** While it is found out whether it works still. */
  #trial: Promise<void> | null = null;
  /** Resolves when it has ended, or was abandoned. */
  readonly ended: Promise<void>;

  /** @param isDevice whether it has a process of its own, instead of a thread of this one */
  constructor(
    data: LaneData,
    private readonly isDevice: boolean,
  ) {
    this.#started = isDevice ? Promise.resolve(startProcess(data)) : startThread(data);
    this.ended = this.#started
      .then(({ connection }) => connection.exited)
      .catch(() => undefined) // reported by the calls
      .finally(() => {
        this.#isLost = true;
      });
  }

  /** Whether it has ended: calls reject. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Why it was ended; null where it was not, or ended by itself. */
  get reason(): string | null {
    return this.#reason;
  }

  /**
   * Calls run one after the other, in the order of their arrival.
   * @throws EngineLostError where it ends meanwhile, as does a device that fails and computes nothing any more
   */
  async call<Name extends keyof EngineMethods>(
    name: Name,
    args: ArgsOf<EngineMethods[Name]>,
    options?: CallOptions<never>,
  ): Promise<ResultOf<EngineMethods[Name]>> {
    const { connection } = await this.#started;
    try {
      return await connection.call(name, args, options as never);
    } catch (error) {
      if (this.isDevice && isFailureOfGraph(error)) {
        this.#trial ??= this.#endIfBroken().finally(() => {
          this.#trial = null;
        });
        await this.#trial;
      }
      throw error;
    }
  }

  /** As `call`; a device that does not return within `CALL_MS` is ended. A thread that hangs cannot be. */
  callLimited<Name extends keyof EngineMethods>(
    name: Name,
    args: ArgsOf<EngineMethods[Name]>,
    options?: CallOptions<never>,
  ): Promise<ResultOf<EngineMethods[Name]>> {
    const called = this.call(name, args, options);
    if (!this.isDevice) return called;
    const hung = () =>
      void this.end(`it did not return from "${name}" within ${CALL_MS / 1000} s`).catch(() => {});
    const timeout = setTimeout(hung, CALL_MS);
    return called.finally(() => clearTimeout(timeout));
  }

  /** Loads a model, unless it is loaded or being loaded; see `EngineMethods.load`. */
  load(id: number, folder: string, digest: string | null): Promise<LoadedModel> {
    const known = this.#loading.get(id);
    if (known) return known;
    const loading = this.callLimited('load', [id, folder, digest]);
    this.#loading.set(id, loading);
    loading.catch(() => this.#loading.delete(id));
    return loading;
  }

  async unload(id: number): Promise<void> {
    this.#loading.delete(id);
    await this.callLimited('unload', [id]);
  }

  /**
   * Ends it at once, whatever it does: calls that are pending reject.
   * @param reason what it did, for their errors. Default how it ended
   * @throws EngineLostError where its process does not end; pending calls have rejected then, too
   */
  async end(reason?: string): Promise<void> {
    const { connection, end, isStuck } = await this.#started;
    this.#reason ??= this.#isLost ? null : (reason ?? null);
    end(reason);
    await connection.exited;
    if (isStuck()) throw new EngineLostError('its process cannot be ended: the driver waits for the device');
  }

  /**
   * Tries a device with which a graph has failed, and ends it where it computes nothing any more.
   * @throws EngineLostError then; otherwise the failure was that of the graph
   */
  async #endIfBroken(): Promise<void> {
    try {
      await this.callLimited('tryAgain', []);
    } catch (error) {
      await this.end(`it computes nothing any more (${(error as Error).message})`).catch(() => undefined);
      await this.ended;
      await this.call('tryAgain', []); // rejects, as all calls do
    }
  }

  async close(): Promise<void> {
    const timeout = new AbortController();
    const closed = this.call('close', []).catch(() => undefined);
    await Promise.race([closed, delay(CLOSE_MS, undefined, timeout).catch(() => undefined)]);
    timeout.abort();
    await this.end().catch(() => undefined);
  }
}
