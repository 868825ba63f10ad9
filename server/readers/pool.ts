import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { EngineLostError, RemoteError } from '../../model/errors.js';
import { childEnvironment } from '../config.js';
import { RequestError } from '../contract/errors.js';
import type { FromReader, ReaderCalls, ReaderLimits, ReadName, ToReader } from './messages.js';

export interface PoolOptions {
  /** What its calls do, in words: `reading the header`. */
  readonly doing: string;
  /** Processes at most, at least 1; started when they are needed. */
  readonly processes: number;
  /** Of them, those that stay when there is nothing to do. */
  readonly kept: number;
  /** How long one without work stays beside those, in ms; half a minute by default. */
  readonly idleMs?: number;
  /** Calls that wait at most. */
  readonly waiting: number;
  /** How long a call may take, unless it says so itself. */
  readonly limitMs: number;
  /** JavaScript's heap of a process, in MB: what is too large for it ends the process, not the machine. */
  readonly heapMb: number;
  readonly limits: ReaderLimits;
}

export interface CallOptions {
  readonly limitMs?: number;
  /** When aborted, a call that waits leaves. */
  readonly signal?: AbortSignal;
  /** Goes before those that wait. */
  readonly urgent?: boolean;
}

/** A call that ended its process, twice, or took longer than it may. */
export class ReaderEndedError extends Error {
  readonly code = 'corrupt-image';
}

interface Task {
  readonly message: ToReader;
  readonly limitMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Processes that ended with it inside. */
  ends: number;
}

interface Reader {
  readonly child: ChildProcess;
  ready: boolean;
  task: Task | null;
  timer: NodeJS.Timeout | null;
  /** Why it was ended from here; null while it was not. */
  ended: string | null;
}

/** How long a process may take to start. */
const START_MS = 60_000;

/**
 * Processes that read images, each one call at a time: when one ends, it is known which call ended it, and
 * only that call fails. A process that ends in the middle of a call may have been ended from outside, so the
 * call is tried once more, in another one.
 */
export class ReaderPool {
  readonly #readers = new Set<Reader>();
  readonly #idle: Reader[] = [];
  readonly #waiting: Task[] = [];
  #closed = false;

  constructor(private readonly options: PoolOptions) {
    for (let i = 0; i < options.kept; i++) this.#rest(this.#start());
  }

  /** Numbers of the processes that run. */
  get pids(): number[] {
    return [...this.#readers].map(({ child }) => child.pid!);
  }

  /** Whether there is a process: what none has open need not be closed. */
  get isRunning(): boolean {
    return this.#readers.size > 0;
  }

  /**
   * @throws ReaderEndedError, RequestError `busy` where too many calls wait, EngineLostError where no process
   *   can be started, RemoteError with the code of what the call itself threw
   */
  call<Name extends ReadName>(
    name: Name,
    args: Parameters<ReaderCalls[Name]>,
    { limitMs = this.options.limitMs, signal, urgent = false }: CallOptions = {},
  ): ReturnType<ReaderCalls[Name]> {
    return new Promise<unknown>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (this.#closed) return reject(new EngineLostError('the server stops'));
      if (this.#waiting.length >= this.options.waiting && !urgent) {
        const { waiting, doing } = this.options;
        return reject(new RequestError('busy', `${waiting} requests wait already for ${doing}`));
      }
      const leave = () => {
        const at = this.#waiting.indexOf(task);
        if (at < 0) return; // it is in a process, and ends there
        this.#waiting.splice(at, 1);
        reject(signal!.reason);
      };
      const stay = () => signal?.removeEventListener('abort', leave);
      const task: Task = {
        message: { type: 'call', name, args },
        limitMs,
        ends: 0,
        resolve: (value) => {
          stay();
          resolve(value);
        },
        reject: (error) => {
          stay();
          reject(error);
        },
      };
      signal?.addEventListener('abort', leave, { once: true });
      if (urgent) this.#waiting.unshift(task);
      else this.#waiting.push(task);
      this.#dispatch();
    }) as ReturnType<ReaderCalls[Name]>;
  }

  /** Ends the processes, in the middle of their calls if there are any. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const task of this.#waiting.splice(0)) task.reject(new EngineLostError('the server stops'));
    await Promise.all([...this.#readers].map((reader) => this.#dismiss(reader)));
  }

  /** Gives waiting calls to processes. */
  #dispatch(): void {
    while (this.#waiting.length > 0) {
      const reader = this.#idle.pop() ?? (this.#readers.size < this.options.processes ? this.#start() : null);
      if (reader === null) return;
      reader.task = this.#waiting.shift()!;
      if (reader.ready) this.#give(reader, reader.task);
    }
  }

  #give(reader: Reader, { message, limitMs }: Task): void {
    this.#limit(reader, limitMs, `took longer than ${limitMs / 1000} s`);
    reader.child.send(message);
  }

  /** Ends a process that has not answered in time. */
  #limit(reader: Reader, ms: number, why: string): void {
    if (reader.timer) clearTimeout(reader.timer);
    reader.timer = setTimeout(() => {
      reader.ended = why;
      reader.child.kill('SIGKILL');
    }, ms);
  }

  #start(): Reader {
    const { heapMb, limits } = this.options;
    const child = fork(fileURLToPath(new URL('./main.js', import.meta.url)), {
      serialization: 'advanced',
      env: childEnvironment(),
      execArgv: [`--max-old-space-size=${heapMb}`],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const reader: Reader = { child, ready: false, task: null, timer: null, ended: null };
    this.#readers.add(reader);
    this.#limit(reader, START_MS, `did not start in ${START_MS / 1000} s`);
    child.on('message', (message: FromReader) => this.#receive(reader, message));
    let isLost = false;
    const lose = (why: string) => {
      if (!isLost) this.#lose(reader, reader.ended ?? why);
      isLost = true;
    };
    child.on('exit', (code, signal) => lose(`ended its process (${signal ?? `exit code ${code}`})`));
    child.on('error', (error) => lose(`ended its process (${error.message})`));
    child.send({ type: 'start', limits } satisfies ToReader);
    return reader;
  }

  #receive(reader: Reader, message: FromReader): void {
    if (reader.timer) clearTimeout(reader.timer);
    const { task } = reader;
    if (message.type === 'ready') {
      reader.ready = true;
      if (task) this.#give(reader, task);
      return;
    }
    reader.task = null;
    if (message.type === 'answer') task?.resolve(message.value);
    else task?.reject(new RemoteError(message.code, message.message));
    this.#rest(reader);
    this.#dispatch();
  }

  /** Keeps a process without work for the next call, for a while. */
  #rest(reader: Reader): void {
    this.#idle.push(reader);
    const { kept, idleMs = 30_000 } = this.options;
    if (!reader.ready || this.#readers.size <= kept) return;
    reader.timer = setTimeout(() => {
      if (this.#readers.size > kept) void this.#dismiss(reader); // others may have gone meanwhile
    }, idleMs);
    reader.timer.unref();
  }

  /** Ends a process; one with work in it, or that does not go, by force. */
  async #dismiss(reader: Reader): Promise<void> {
    const { child } = reader;
    this.#leave(reader);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    if (reader.task === null && reader.ready) {
      this.#limit(reader, 1000, 'the server stops');
      child.disconnect();
    } else child.kill('SIGKILL');
    await exited;
    if (reader.timer) clearTimeout(reader.timer);
  }

  #leave(reader: Reader): void {
    this.#readers.delete(reader);
    const at = this.#idle.indexOf(reader);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  #lose(reader: Reader, why: string): void {
    if (reader.timer) clearTimeout(reader.timer);
    this.#leave(reader);
    const { task } = reader;
    if (task === null) return;
    if (this.#closed) task.reject(new EngineLostError('the server stops'));
    else if (!reader.ready) task.reject(new EngineLostError(`the process that reads images ${why}`));
    else if (reader.ended === null && task.ends++ === 0) this.#waiting.unshift(task);
    else task.reject(new ReaderEndedError(`${this.options.doing} ${why}`));
    this.#dispatch();
  }
}
