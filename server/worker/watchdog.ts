import { batchLimit, type HungAfter } from '../pipeline/device-watch.js';
import type { WorkerLimits } from './limits.js';

/** A worker's heartbeat: how long each of its current batches has run, and is expected to run, in ms. */
export interface Beat {
  readonly batches: readonly { readonly ranMs: number; readonly expectedMs: number }[];
}

/**
 * Detects a hung worker: one whose event loop is silent, or whose batch does not return. It counts the ticks of a
 * timer instead of time: a server that was itself blocked, or suspended with its worker, received nothing either.
 */
export class Watchdog {
  #ticks = 0;

  constructor(
    private readonly limits: Pick<WorkerLimits, 'beatMs' | 'silentMs' | 'hungMs' | keyof HungAfter>,
    /** Called with the reason once the worker is hung, and again for as long as it is. */
    private readonly onHung: (reason: string) => void,
  ) {}

  /** Why the worker accepts no work at present; null while it responds. */
  get unready(): string | null {
    const silentMs = this.#ticks * this.limits.beatMs;
    if (silentMs <= this.limits.silentMs) return null;
    return `the worker has not responded for ${Math.round(silentMs / 1000)} s`;
  }

  /** To be called every `beatMs`. */
  tick(): void {
    this.#ticks++;
    const { beatMs, hungMs } = this.limits;
    if (this.#ticks * beatMs > hungMs) this.onHung(`the worker sent nothing for ${hungMs / 1000} s`);
  }

  /** To be called for every message of the worker. */
  reset(): void {
    this.#ticks = 0;
  }

  beat({ batches }: Beat): void {
    for (const { ranMs, expectedMs } of batches) {
      const limit = batchLimit(this.limits, expectedMs);
      if (ranMs > limit) this.onHung(`a batch took longer than ${Math.round(limit / 1000)} s`);
    }
  }
}
