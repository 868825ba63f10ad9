/** Causes that may go away by themselves: a full or failing disk, an unreachable source, no free file handles. */
export const TEMPORARY_CODES: ReadonlySet<string> = new Set([
  'disk-full',
  'storage-failed',
  'source-unreachable',
  'too-many-files',
]);

/** Whether a job that failed with this code may succeed later without anyone changing it. */
export const isTemporary = (code: string): boolean => TEMPORARY_CODES.has(code);

export interface RecoveryTimes {
  /**
   * Delay before each retry of a job that failed for a temporary cause; after the last one it is paused.
   * @example [1000, 2000]
   */
  readonly retryMs: readonly number[];
  /** Interval between checks whether the cause of a pause is gone: doubled after each, up to the last. */
  readonly probeMs: { readonly first: number; readonly last: number };
}

export const RECOVERY: RecoveryTimes = {
  retryMs: [1000, 2000, 4000, 8000, 16_000],
  probeMs: { first: 5000, last: 300_000 },
};

/** Counts the failed attempts of a job; one that got further than all before it starts the count anew. */
export class Patience {
  #failures = 0;
  #probes = 0;
  #furthest = 0;
  #isNew = true;

  constructor(private readonly times: RecoveryTimes) {}

  /** Whether no attempt has failed yet. */
  get isNew(): boolean {
    return this.#isNew;
  }

  /**
   * Counts a failed attempt.
   * @param done how far it got, in any unit
   * @returns milliseconds until the next attempt; null when there have been enough
   */
  next(done: number): number | null {
    this.#isNew = false;
    if (done > this.#furthest) {
      this.#failures = 0;
      this.#probes = 0;
      this.#furthest = done;
    }
    return this.times.retryMs[this.#failures++] ?? null;
  }

  /** Milliseconds until the next check of a pause's cause. */
  probe(): number {
    const { first, last } = this.times.probeMs;
    return Math.min(first * 2 ** Math.min(this.#probes++, 30), last);
  }
}
