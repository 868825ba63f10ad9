import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { childProcess } from '../../model/engine/channel.js';
import { type ArgsOf, Connection, type ResultOf } from '../../model/engine/rpc.js';
import { childEnvironment } from '../config.js';
import type { ReaderLimits, ReaderMethods, ReadName } from './methods.js';

/** Why a reader process was lost: it did not start, crashed, or its call took longer than it may. */
export const READER_CAUSES = ['start', 'crash', 'timeout'] as const;
export type ReaderCause = (typeof READER_CAUSES)[number];

/** A reader process exited with a call in it. Its message continues a sentence that says what it was doing. */
export class ReaderExit extends Error {
  constructor(
    message: string,
    readonly death: ReaderCause,
  ) {
    super(message);
  }
}

/** Time limit for a process to start. */
const START_MS = 60_000;
/** Time limit for an orderly exit. */
const EXIT_MS = 1000;
/** How long a call may go on whose files are about to be removed. */
const REMOVAL_MS = 5000;

export interface ReaderProcessOptions {
  /**
   * JavaScript's heap of a process, in MB: an image that needs more crashes the process, not the machine. A 64th of it
   * bounds each half of the young generation, which otherwise grows to 16 MB whatever the heap.
   */
  readonly heapMb: number;
  /** Discards what it prints: libraries may name images there. Default false. */
  readonly isSilent?: boolean;
  /** How long a call may go on whose files are about to be removed, in ms. Default 5,000. */
  readonly removalMs?: number;
}

export interface ReadOptions {
  /** Time limit of the call in ms: beyond it, the process is terminated. */
  readonly timeoutMs: number;
  /** Cancels the call, which settles as its handler does. */
  readonly signal: AbortSignal;
  /** Aborted where the files of the call are about to be removed: if it does not settle soon, the process is stopped. */
  readonly removal: AbortSignal | undefined;
}

/** The life of one process that reads images, one call at a time. */
export class ReaderProcess {
  readonly #child: ChildProcess;
  readonly #connection: Connection<ReaderMethods>;
  readonly #started: Promise<void>;
  #isReady = false;
  #isBusy = false;
  /** Why it was terminated; null if it was not. */
  #timeout: string | null = null;
  #isStopping = false;
  readonly #removalMs: number;

  /**
   * @param onExit called once, before a pending call rejects, with why it was lost; null where it was stopped
   */
  constructor(
    { heapMb, isSilent = false, removalMs = REMOVAL_MS }: ReaderProcessOptions,
    limits: ReaderLimits,
    onExit: (cause: ReaderCause | null) => void,
  ) {
    this.#removalMs = removalMs;
    this.#child = fork(fileURLToPath(new URL('./main.js', import.meta.url)), {
      serialization: 'advanced',
      env: childEnvironment(),
      execArgv: [`--max-old-space-size=${heapMb}`, `--max-semi-space-size=${Math.ceil(heapMb / 64)}`],
      stdio: ['ignore', 'ignore', isSilent ? 'ignore' : 'inherit', 'ipc'],
    });
    this.#connection = new Connection(childProcess(this.#child), {
      onExit: ({ status }) => {
        const cause = this.#isReady ? (this.#timeout === null ? 'crash' : 'timeout') : 'start';
        onExit(this.#isStopping ? null : cause);
        return new ReaderExit(this.#timeout ?? `crashed its process (${status})`, cause);
      },
    });
    this.#started = this.#within(START_MS, `did not start within ${START_MS / 1000} s`, async () => {
      await this.#connection.call('start', [limits]);
      this.#isReady = true;
    });
    this.#started.catch(() => undefined); // without a call there is nothing to reject
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /**
   * Calls a method of the process once that has started.
   *
   * @throws ReaderExit; RemoteError with the code of what the call itself threw
   */
  async call<Name extends ReadName>(
    name: Name,
    args: ArgsOf<ReaderMethods[Name]>,
    { timeoutMs, signal, removal }: ReadOptions,
  ): Promise<ResultOf<ReaderMethods[Name]>> {
    this.#isBusy = true;
    let removalTimer: NodeJS.Timeout | undefined;
    const remove = () => {
      removalTimer = setTimeout(() => void this.stop(), this.#removalMs);
    };
    removal?.addEventListener('abort', remove, { once: true });
    try {
      await this.#started;
      const reason = `took longer than ${timeoutMs / 1000} s`;
      return await this.#within(timeoutMs, reason, () => this.#connection.call(name, args, { signal }));
    } finally {
      removal?.removeEventListener('abort', remove);
      clearTimeout(removalTimer);
      this.#isBusy = false;
    }
  }

  /** Stops the process: between calls in an orderly way, in which it removes its files; during a call by force. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#child.connected && this.#isReady && !this.#isBusy) {
      this.#child.disconnect();
      await this.#within(EXIT_MS, 'the server is stopping', () => this.#connection.exited);
    } else {
      this.#child.kill('SIGKILL');
      await this.#connection.exited;
    }
  }

  /** Terminates the process if its work takes longer than `ms`. */
  async #within<Value>(ms: number, reason: string, work: () => Promise<Value>): Promise<Value> {
    const timer = setTimeout(() => {
      this.#timeout = reason;
      this.#child.kill('SIGKILL');
    }, ms);
    return work().finally(() => clearTimeout(timer));
  }
}
