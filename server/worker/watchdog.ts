import type { WorkerLimits } from './limits.js';

/** What a worker says of itself with each beat: how long its batch has run, and how long it should, in ms. */
export interface Beat {
  readonly batch: { readonly ranMs: number; readonly expectedMs: number } | null;
}

/**
 * Notices that a worker hangs: that its event loop is silent, or that a batch does not come back. It counts
 * the ticks of a timer and not the time: a server that was itself held up, or stopped with its worker, heard
 * nothing either.
 */
export class Watchdog {
  #ticks = 0;

  constructor(
    private readonly limits: Pick<WorkerLimits, 'beatMs' | 'silentMs' | 'hungMs' | 'batchMs' | 'batchFactor'>,
    /** Called when the worker hangs, with the reason. */
    private readonly hung: (why: string) => void,
  ) {}

  /** Why the worker should not be given work; null where it seems well. */
  get doubt(): string | null {
    const silentMs = this.#ticks * this.limits.beatMs;
    if (silentMs <= this.limits.silentMs) return null;
    return `the worker has not answered for ${Math.round(silentMs / 1000)} s`;
  }

  /** To be called every `beatMs`. */
  tick(): void {
    this.#ticks++;
    const { beatMs, hungMs } = this.limits;
    if (this.#ticks * beatMs > hungMs) this.hung(`the worker was silent for ${hungMs / 1000} s`);
  }

  /** To be called with whatever the worker sends. */
  heard(): void {
    this.#ticks = 0;
  }

  beat({ batch }: Beat): void {
    const { batchMs, batchFactor } = this.limits;
    if (batch === null) return;
    const limit = Math.max(batchMs, batchFactor * batch.expectedMs);
    if (batch.ranMs > limit) this.hung(`a batch took longer than ${Math.round(limit / 1000)} s`);
  }
}
