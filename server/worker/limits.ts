/** How long a worker may take for what, in ms: beyond, it counts as hung, and is ended and replaced. */
export interface WorkerLimits {
  /** How often it shows that it lives. */
  readonly beatMs: number;
  /** Silence after which the server says that it is not ready. */
  readonly silentMs: number;
  /** Silence after which it counts as hung. */
  readonly hungMs: number;
  /** A batch may take so long, or so many times what it is expected to take, whichever is longer. */
  readonly batchMs: number;
  readonly batchFactor: number;
  /**
   * Opening an image may take so long, and so many times what its decoder may: some are unpacked as a whole,
   * several at a time.
   */
  readonly openMs: number;
  readonly openFactor: number;
  /** Reading one tile of an image. */
  readonly readMs: number;
  /** A call, such as a plan: a model may have to be loaded and tested for it. */
  readonly callMs: number;
  /** From asking it to stop a job, or to stop itself, until it is ended. */
  readonly graceMs: number;
  /** From the end of a worker to the start of the next: doubled each time, up to the last. */
  readonly restartMs: { readonly first: number; readonly last: number };
}

export const WORKER_LIMITS: WorkerLimits = {
  beatMs: 1000,
  silentMs: 10_000,
  hungMs: 30_000,
  batchMs: 60_000,
  batchFactor: 20,
  openMs: 120_000,
  openFactor: 2,
  readMs: 120_000,
  callMs: 300_000,
  graceMs: 30_000,
  restartMs: { first: 500, last: 30_000 },
};
