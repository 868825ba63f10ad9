import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { childProcess } from '../../model/channel.js';
import { type ArgsOf, Connection, type ResultOf } from '../../model/rpc.js';
import { childEnvironment } from '../config.js';
import type { ReaderLimits, ReaderMethods, ReadName } from './messages.js';

/** A reader process ended with a call in it. */
export class ReaderExit extends Error {
  /** @param phase where it exited: before it was ready, by itself in the call, or terminated at the call's limit */
  constructor(
    message: string,
    readonly phase: 'start' | 'call' | 'timeout',
  ) {
    super(message);
  }
}

/** How long a process may take to start. */
const START_MS = 60_000;
/** How long one without a call may take to exit. */
const EXIT_MS = 1000;

/** The life of one process that reads images, one call at a time. */
export class ReaderProcess {
  readonly #child: ChildProcess;
  readonly #connection: Connection<ReaderMethods>;
  readonly #started: Promise<void>;
  readonly #exited: Promise<void>;
  #isReady = false;
  #isBusy = false;
  /** Why it was terminated; null where it was not. */
  #timeout: string | null = null;

  /**
   * @param heapMb JavaScript's heap, in MB: what is too large for it ends the process, not the machine
   * @param onExit called once, before a pending call rejects
   */
  constructor(heapMb: number, limits: ReaderLimits, onExit: () => void) {
    this.#child = fork(fileURLToPath(new URL('./main.js', import.meta.url)), {
      serialization: 'advanced',
      env: childEnvironment(),
      execArgv: [`--max-old-space-size=${heapMb}`],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    let exited = () => {};
    this.#exited = new Promise((resolve) => {
      exited = resolve;
    });
    this.#connection = new Connection(childProcess(this.#child), {
      onExit: ({ status }) => {
        exited();
        onExit();
        const phase = this.#isReady ? (this.#timeout === null ? 'call' : 'timeout') : 'start';
        return new ReaderExit(this.#timeout ?? `ended its process (${status})`, phase);
      },
    });
    this.#started = this.#within(START_MS, `did not start in ${START_MS / 1000} s`, async () => {
      await this.#connection.call('start', [limits]);
      this.#isReady = true;
    });
    this.#started.catch(() => undefined); // a process without a call is only replaced
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /**
   * Calls it once it has started.
   *
   * @param limitMs how long the call may take, from then on: beyond, the process is terminated
   * @throws ReaderExit; RemoteError with the code of what the call itself threw
   */
  async call<Name extends ReadName>(
    name: Name,
    args: ArgsOf<ReaderMethods[Name]>,
    limitMs: number,
  ): Promise<ResultOf<ReaderMethods[Name]>> {
    this.#isBusy = true;
    try {
      await this.#started;
      const why = `took longer than ${limitMs / 1000} s`;
      return await this.#within(limitMs, why, () => this.#connection.call(name, args));
    } finally {
      this.#isBusy = false;
    }
  }

  /** Ends it: without a call in an orderly way, in which it removes its files, otherwise by force. */
  async stop(): Promise<void> {
    if (this.#child.connected && this.#isReady && !this.#isBusy) {
      this.#child.disconnect();
      await this.#within(EXIT_MS, 'the server stops', () => this.#exited);
    } else {
      this.#child.kill('SIGKILL');
      await this.#exited;
    }
  }

  /** Terminates the process if some work in it takes too long. */
  async #within<Value>(ms: number, why: string, work: () => Promise<Value>): Promise<Value> {
    const timer = setTimeout(() => {
      this.#timeout = why;
      this.#child.kill('SIGKILL');
    }, ms);
    return work().finally(() => clearTimeout(timer));
  }
}
