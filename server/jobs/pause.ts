import { codeOf } from '../contract/problems.js';
import { diskSpace } from '../storage/free-space.js';

export interface PauseCause {
  readonly code: string;
  /** The data folder, on whose disk the job writes. */
  readonly folder: string;
  /** Whether the job failed in this process; not in one that read of its pause. */
  readonly isFresh: boolean;
  /** Opens the job's source; rejects with its error. */
  readonly open: () => Promise<unknown>;
}

/** Returns a check for whether the cause of a pause is gone, as far as can be known without running the job. */
export async function checkOf({ code, folder, isFresh, open }: PauseCause): Promise<() => Promise<boolean>> {
  switch (code) {
    case 'disk-full': {
      // A job that fails frees some space, which is not enough to go on: wait until more becomes free than that.
      // What was freed while no server ran counts, too.
      const space = isFresh ? await diskSpace(folder).catch(() => null) : null;
      const freeBefore = space?.free ?? 0;
      return async () => {
        const { free, lowWater } = await diskSpace(folder);
        return free >= freeBefore + lowWater;
      };
    }
    case 'source-unreachable':
      return () =>
        open().then(
          () => true,
          // Any other error is for the job itself to meet.
          (error: unknown) => codeOf(error) !== 'source-unreachable',
        );
    default:
      return async () => true;
  }
}

export interface PollOptions {
  /** Milliseconds until the next check. */
  readonly nextDelayMs: () => number;
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Resolves when `check` resolves to true, or `signal` aborts. A check that rejects counts as false. */
export async function pollUntil(
  check: () => Promise<boolean>,
  { nextDelayMs, wait, signal }: PollOptions,
): Promise<void> {
  do await wait(nextDelayMs(), signal);
  while (!signal.aborted && !(await orAborted(check(), signal)));
}

/** What `work` resolves to; false as soon as `signal` aborts, or when it rejects. */
function orAborted(work: Promise<boolean>, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const abort = () => resolve(false);
    signal.addEventListener('abort', abort, { once: true });
    void work
      .catch(() => false)
      .then((value) => {
        signal.removeEventListener('abort', abort);
        resolve(value);
      });
  });
}
