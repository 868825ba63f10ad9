import { limitsFor } from '../../tiling/decode-limits.js';
import type { Size } from '../../tiling/geometry.js';
import { HUNG_AFTER, type HungAfter } from '../pipeline/device-watch.js';
import type { ImageLimits } from './read-limit.js';

/** How long a worker may take for what, in ms: beyond, it is hung, and is terminated and replaced. */
export interface WorkerLimits extends HungAfter {
  /** Interval of the beats by which it shows that its event loop runs. Default 1 s. */
  readonly beatMs: number;
  /** Silence after which the server is not ready. Default 10 s. */
  readonly silentMs: number;
  /** Silence after which the worker is hung. Default 30 s. */
  readonly hungMs: number;
  /**
   * The limit for opening an image, plus this many times its decoder's own limit: some are unpacked as a whole,
   * several at a time. Default 2 min and 2.
   */
  readonly openMs: number;
  readonly openFactor: number;
  /** The limit for reading one tile of an image. Default 2 min. */
  readonly readMs: number;
  /** The limit for a call, such as a plan: a model may have to be loaded and tested for it. Default 5 min. */
  readonly callMs: number;
  /** From a request to stop, of a job or of the worker, to its termination. Default 30 s. */
  readonly graceMs: number;
  /** From the exit of a worker to the start of the next: doubled each time, up to the last. Default 0.5 s to 30 s. */
  readonly restartMs: { readonly first: number; readonly last: number };
}

export const WORKER_LIMITS: WorkerLimits = {
  ...HUNG_AFTER,
  beatMs: 1000,
  silentMs: 10_000,
  hungMs: 30_000,
  openMs: 120_000,
  openFactor: 2,
  readMs: 120_000,
  callMs: 300_000,
  graceMs: 30_000,
  restartMs: { first: 500, last: 30_000 },
};

/** The limits of an image of this size: its decoder's own limit goes by it. An unknown size adds nothing. */
export function imageLimits(
  size: Size | undefined,
  { openMs, openFactor, readMs }: Pick<WorkerLimits, 'openMs' | 'openFactor' | 'readMs'>,
): ImageLimits {
  const decodeMs = size ? 1000 * limitsFor(size).seconds : 0;
  return { openMs: openMs + openFactor * decodeMs, readMs };
}
