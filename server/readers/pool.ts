import { EngineLostError } from '../../model/errors.js';
import type { ArgsOf, ResultOf } from '../../model/rpc.js';
import { RequestError } from '../contract/errors.js';
import type { ReaderLimits, ReaderMethods, ReadName } from './messages.js';
import { ReaderExit, ReaderProcess } from './process.js';

export interface PoolOptions {
  /** What its calls do, in words: `reading the header`. */
  readonly doing: string;
  /** Processes at most, at least 1; started when they are needed. */
  readonly processes: number;
  /** Of them, those that stay when there is nothing to do. */
  readonly kept: number;
  /** How long an idle one stays beside those, in ms. Default half a minute. */
  readonly idleMs?: number;
  /** Pending calls at most. */
  readonly waiting: number;
  /** How long a call may take, in ms, unless it says so itself. */
  readonly limitMs: number;
  /** JavaScript's heap of a process, in MB: what is too large for it ends the process, not the machine. */
  readonly heapMb: number;
  readonly limits: ReaderLimits;
}

export interface CallOptions {
  /** How long the call may take, in ms. Default the pool's. */
  readonly limitMs?: number;
  /** When aborted, a call that is pending leaves; one that a process has goes on. */
  readonly signal?: AbortSignal;
  /** Goes before those that are pending, however many they are. Default false. */
  readonly urgent?: boolean;
}

/** A call that ended its process, twice, or took longer than it may. */
export class ReaderEndedError extends Error {
  readonly code = 'corrupt-image';
}

interface Task {
  readonly run: (reader: ReaderProcess) => Promise<unknown>;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  /** Processes that exited with it. */
  exits: number;
}

/**
 * Processes that read images, each one call at a time: when one exits, it is known which call ended it, and
 * only that call fails. A process that exits in the middle of a call may have been killed from outside, so the
 * call is retried once, in another one.
 */
export class ReaderPool {
  readonly #readers = new Set<ReaderProcess>();
  /** The most recently used last. */
  readonly #idle: ReaderProcess[] = [];
  readonly #evictions = new Map<ReaderProcess, NodeJS.Timeout>();
  readonly #pending: Task[] = [];
  #isClosed = false;

  constructor(private readonly options: PoolOptions) {
    for (let i = 0; i < options.kept; i++) this.#release(this.#start());
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
   * @throws ReaderEndedError, RequestError `busy` where too many calls are pending, EngineLostError where no process
   *   can be started, RemoteError with the code of what the call itself threw
   */
  async call<Name extends ReadName>(
    name: Name,
    args: ArgsOf<ReaderMethods[Name]>,
    { limitMs = this.options.limitMs, signal, urgent = false }: CallOptions = {},
  ): Promise<ResultOf<ReaderMethods[Name]>> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new EngineLostError('the server stops');
    const { waiting, doing } = this.options;
    if (this.#pending.length >= waiting && !urgent)
      throw new RequestError('busy', `${waiting} requests wait already for ${doing}`);
    let leave = () => {};
    return new Promise<ResultOf<ReaderMethods[Name]>>((resolve, reject) => {
      const run = (reader: ReaderProcess) => reader.call(name, args, limitMs);
      const task: Task = { run, resolve, reject, exits: 0 };
      leave = () => {
        if (remove(this.#pending, task)) reject(signal?.reason);
      };
      signal?.addEventListener('abort', leave, { once: true });
      if (urgent) this.#pending.unshift(task);
      else this.#pending.push(task);
      this.#dispatch();
    }).finally(() => signal?.removeEventListener('abort', leave));
  }

  /** Ends the processes, in the middle of their calls if there are any. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const task of this.#pending.splice(0)) task.reject(new EngineLostError('the server stops'));
    await Promise.all([...this.#readers].map((reader) => this.#evict(reader)));
  }

  #dispatch(): void {
    while (this.#pending.length > 0) {
      const reader = this.#idle.pop() ?? (this.#readers.size < this.options.processes ? this.#start() : null);
      if (reader === null) return;
      clearTimeout(this.#evictions.get(reader));
      void this.#run(this.#pending.shift()!, reader);
    }
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

  /** Requeues a call whose process has exited, unless it is known to have caused that. */
  #retry(task: Task, { phase, message }: ReaderExit): void {
    if (this.#isClosed) task.reject(new EngineLostError('the server stops'));
    else if (phase === 'start') task.reject(new EngineLostError(`the process that reads images ${message}`));
    else if (phase === 'call' && task.exits++ === 0) this.#pending.unshift(task);
    else task.reject(new ReaderEndedError(`${this.options.doing} ${message}`));
  }

  #start(): ReaderProcess {
    const { heapMb, limits } = this.options;
    const reader: ReaderProcess = new ReaderProcess(heapMb, limits, () => this.#discard(reader));
    this.#readers.add(reader);
    return reader;
  }

  /** Makes a process available to the next call, for a while. */
  #release(reader: ReaderProcess): void {
    this.#idle.push(reader);
    const { kept, idleMs = 30_000 } = this.options;
    if (!reader.isReady || this.#readers.size <= kept) return;
    const eviction = setTimeout(() => {
      if (this.#readers.size > kept) void this.#evict(reader); // others may have exited meanwhile
    }, idleMs);
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

/** Whether the list had the item. */
function remove<Item>(list: Item[], item: Item): boolean {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
  return at >= 0;
}
