import type { ArgsOf, ResultOf } from '../../model/engine/rpc.js';
import { EngineLostError } from '../../model/errors.js';
import { type Clock, systemClock } from '../../model/scheduler/clock.js';
import { RequestError } from '../contract/errors.js';
import type { ReaderLimits, ReaderMethods, ReadName } from './methods.js';
import { type ReaderCause, ReaderExit, ReaderProcess, type ReaderProcessOptions } from './process.js';

export interface PoolOptions extends ReaderProcessOptions {
  /** What its calls do, for messages: `reading the header`. */
  readonly operation: string;
  /** Processes that are started at once and never evicted; at least 0. */
  readonly minProcesses: number;
  /** Processes at most, the others started on demand; at least 1. */
  readonly maxProcesses: number;
  /**
   * How long a call waits before another process is started for it, in ms: starting one costs as much processor time as
   * hundreds of headers. Default 250.
   */
  readonly startAfterMs?: number;
  /** Idle time in ms after which a process beyond `minProcesses` is evicted. Default 30,000. */
  readonly idleTimeoutMs?: number;
  /** Pending calls at most; at least 1. */
  readonly maxPending: number;
  /** Time limit of a call in ms, unless the call has its own. */
  readonly timeoutMs: number;
  /** How every image is opened. */
  readonly limits: ReaderLimits;
  /** Called with why a process was lost. Default: not called. */
  readonly onDeath?: ((cause: ReaderCause) => void) | undefined;
}

export interface CallOptions {
  /** Time limit of this call in ms. Default the pool's. */
  readonly timeoutMs?: number | undefined;
  /** Rejects the call if it aborts while the call is pending; a dispatched one is cancelled, and settles as it does. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Aborted where the files of the call are about to be removed. It rejects as by `signal`; a dispatched one that does
   * not settle soon is ended with its process.
   */
  readonly removal?: AbortSignal | undefined;
  /** Skips the queue, even if it is full. Default false. */
  readonly isUrgent?: boolean;
}

/** A call that crashed its process twice, or exceeded its time limit. */
export class ReaderFailedError extends Error {
  readonly code = 'corrupt-image';
}

interface Task {
  readonly run: (reader: ReaderProcess) => Promise<unknown>;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  /** Aborted where its result is no longer wanted. */
  readonly signal: AbortSignal;
  /** When it was called, in ms of the clock. */
  readonly since: number;
  /** Crashes of processes that it was dispatched to. */
  crashes: number;
}

/**
 * Processes that read images, each one call at a time: when one crashes, it is known which call was in it, and
 * only that call fails. It may have been killed from outside, so the call is retried once, in another process.
 */
export class ReaderPool {
  readonly #readers = new Set<ReaderProcess>();
  /** The most recently used last. */
  readonly #idle: ReaderProcess[] = [];
  readonly #evictions = new Map<ReaderProcess, NodeJS.Timeout>();
  readonly #pending: Task[] = [];
  /** Cancels the timer that starts another process; null where none is pending. */
  #cancelWait: (() => void) | null = null;
  #isClosed = false;

  constructor(
    private readonly options: PoolOptions,
    private readonly clock: Clock = systemClock,
  ) {
    for (let i = 0; i < options.minProcesses; i++) this.#release(this.#start());
  }

  /** Process ids of the readers that run. */
  get pids(): number[] {
    return [...this.#readers].map(({ pid }) => pid);
  }

  /** Whether there is a process: without one, nothing is open. */
  get isRunning(): boolean {
    return this.#readers.size > 0;
  }

  /**
   * @throws ReaderFailedError, RequestError `busy` where too many calls are pending, EngineLostError where no process
   *   can be started, RemoteError with the code of what the call itself threw
   */
  async call<Name extends ReadName>(
    name: Name,
    args: ArgsOf<ReaderMethods[Name]>,
    { timeoutMs = this.options.timeoutMs, signal: cancelled, removal, isUrgent = false }: CallOptions = {},
  ): Promise<ResultOf<ReaderMethods[Name]>> {
    const signal = AbortSignal.any([cancelled, removal].filter((given) => given !== undefined));
    signal.throwIfAborted();
    if (this.#isClosed) throw new EngineLostError('the server is stopping');
    const { maxPending, operation } = this.options;
    if (this.#pending.length >= maxPending && !isUrgent)
      throw new RequestError('busy', `${maxPending} requests are already waiting for ${operation}`);
    let cancel = () => {};
    return new Promise<ResultOf<ReaderMethods[Name]>>((resolve, reject) => {
      const run = (reader: ReaderProcess) => reader.call(name, args, { timeoutMs, signal, removal });
      const task: Task = { run, resolve, reject, signal, since: this.clock.now(), crashes: 0 };
      cancel = () => {
        if (remove(this.#pending, task)) reject(signal.reason);
      };
      signal.addEventListener('abort', cancel, { once: true });
      if (isUrgent) this.#pending.unshift(task);
      else this.#pending.push(task);
      this.#dispatch();
    }).finally(() => signal.removeEventListener('abort', cancel));
  }

  /** Stops the processes, even during their calls, which reject. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelWait?.();
    for (const task of this.#pending.splice(0)) task.reject(new EngineLostError('the server is stopping'));
    await Promise.all([...this.#readers].map((reader) => this.#evict(reader)));
  }

  #dispatch(): void {
    while (this.#pending.length > 0) {
      const reader = this.#idle.pop() ?? this.#startIfDue(this.#pending[0]!);
      if (reader === null) return;
      clearTimeout(this.#evictions.get(reader));
      void this.#run(this.#pending.shift()!, reader);
    }
  }

  /** Starts a process for a call that has waited long enough, if there may be another. */
  #startIfDue({ since }: Task): ReaderProcess | null {
    const { maxProcesses, startAfterMs = 250 } = this.options;
    if (this.#readers.size >= maxProcesses) return null;
    const remainingMs = since + startAfterMs - this.clock.now();
    if (this.#readers.size === 0 || remainingMs <= 0) return this.#start();
    this.#cancelWait ??= this.clock.after(remainingMs, () => {
      this.#cancelWait = null;
      this.#dispatch();
    });
    return null;
  }

  async #run(task: Task, reader: ReaderProcess): Promise<void> {
    try {
      task.resolve((await task.run(reader)) as never);
    } catch (error) {
      if (error instanceof ReaderExit) this.#retry(task, error);
      else task.reject(error);
    }
    if (this.#readers.has(reader)) this.#release(reader);
    this.#dispatch();
  }

  /** Requeues a call whose process has crashed, unless it has to be the reason, or nobody waits for it. */
  #retry(task: Task, { death, message }: ReaderExit): void {
    if (this.#isClosed) task.reject(new EngineLostError('the server is stopping'));
    else if (task.signal.aborted) task.reject(task.signal.reason);
    else if (death === 'start') task.reject(new EngineLostError(`the reader process ${message}`));
    else if (death === 'crash' && task.crashes++ === 0) this.#pending.unshift(task);
    else task.reject(new ReaderFailedError(`${this.options.operation} ${message}`));
  }

  #start(): ReaderProcess {
    const { limits, onDeath } = this.options;
    const reader: ReaderProcess = new ReaderProcess(this.options, limits, (cause) => {
      this.#discard(reader);
      if (cause !== null) onDeath?.(cause);
    });
    this.#readers.add(reader);
    return reader;
  }

  /** Makes a process available to the next call, until it is evicted. */
  #release(reader: ReaderProcess): void {
    this.#idle.push(reader);
    const { minProcesses, idleTimeoutMs = 30_000 } = this.options;
    if (!reader.isReady || this.#readers.size <= minProcesses) return;
    const eviction = setTimeout(() => {
      if (this.#readers.size > minProcesses) void this.#evict(reader); // others may have exited meanwhile
    }, idleTimeoutMs);
    this.#evictions.set(reader, eviction.unref());
  }

  async #evict(reader: ReaderProcess): Promise<void> {
    this.#discard(reader);
    await reader.stop();
  }

  #discard(reader: ReaderProcess): void {
    clearTimeout(this.#evictions.get(reader));
    this.#evictions.delete(reader);
    this.#readers.delete(reader);
    remove(this.#idle, reader);
  }
}

/** @returns whether the list had the item */
function remove<Item>(list: Item[], item: Item): boolean {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
  return at >= 0;
}
