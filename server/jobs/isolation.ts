import { untilAborted } from '../storage/until-aborted.js';

/** The crash that a job is suspected of having caused: of its worker, or of the whole server. */
export type Suspicion = 'worker-crash' | 'server-crash';

/**
 * Runs the jobs that are suspected of a crash one after the other, each until it is cleared or has ended. While the
 * suspects of a worker's crash run, all other jobs wait: if the next worker crashes, too, only one can be to blame.
 */
export class Isolation {
  /** Resolves when all isolated runs have ended. */
  #last: Promise<void> = Promise.resolve();
  /** What jobs without suspicion wait for: the isolated runs after crashes of this server's workers. */
  #gate: Promise<void> = Promise.resolve();

  /** @param hold keeps the device from other calls until the function that it returns is called */
  constructor(private readonly hold: () => () => void) {}

  /** Resolves when no suspect of a worker's crash is isolated; rejects with the reason of `signal`. */
  pass(signal: AbortSignal): Promise<void> {
    return untilAborted(this.#gate, signal);
  }

  /**
   * Waits until the suspects before it are cleared or have ended, and runs `work` in isolation until it ends, or
   * calls `clear`. Rejects with the reason of `signal` when that aborts first.
   */
  async run<Result>(
    suspicion: Suspicion,
    signal: AbortSignal,
    work: (clear: () => void) => Promise<Result>,
  ): Promise<Result> {
    const before = this.#last;
    let end = () => {};
    const ended = new Promise<void>((resolve) => (end = resolve));
    this.#last = before.then(() => ended);
    // The suspects of a server's crash may be many, and no job that is submitted later is among them.
    if (suspicion === 'worker-crash') this.#gate = this.#last;
    try {
      await untilAborted(before, signal);
      const release = this.hold();
      const clear = () => {
        release();
        end();
      };
      return await work(clear).finally(release);
    } finally {
      end();
    }
  }
}
