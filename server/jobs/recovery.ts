/** Reasons that pass: a disk that is full, or errs; another server that does not answer; files run out. */
const PASSING: ReadonlySet<string> = new Set([
  'disk-full',
  'storage-failed',
  'source-unreachable',
  'too-many-files',
]);

/** Whether a job that failed so may succeed later without anybody changing it. */
export const isPassing = (code: string): boolean => PASSING.has(code);

export interface RecoveryTimes {
  /** Before each further try of a job that failed for a passing reason; after the last, it is paused. */
  readonly retryMs: readonly number[];
  /** Between looks for whether the reason of a pause is gone: doubled each time in vain, up to the last. */
  readonly probeMs: { readonly first: number; readonly last: number };
}

export const RECOVERY: RecoveryTimes = {
  retryMs: [1000, 2000, 4000, 8000, 16_000],
  probeMs: { first: 5000, last: 300_000 },
};

/** Counts what a job has tried in vain; a try that got further than any before starts the count anew. */
export class Patience {
  #tries = 0;
  #probes = 0;
  #furthest = 0;
  /** Whether nothing has been tried yet. */
  isNew = true;

  constructor(private readonly times: RecoveryTimes) {}

  /**
   * After a try that failed.
   * @param done how far it got, in any unit
   * @returns ms until the next one; null where there have been enough
   */
  next(done: number): number | null {
    this.isNew = false;
    if (done > this.#furthest) [this.#tries, this.#probes, this.#furthest] = [0, 0, done];
    return this.times.retryMs[this.#tries++] ?? null;
  }

  /** Ms until the next look at a pause's reason. */
  probe(): number {
    const { first, last } = this.times.probeMs;
    return Math.min(first * 2 ** Math.min(this.#probes++, 30), last);
  }
}
