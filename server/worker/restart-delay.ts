import type { WorkerLimits } from './limits.js';

/**
 * How long to wait before a worker is started again: longer each time, while workers do not last. One that has run for
 * longer than the longest delay is not in a crash loop: after it, the delays start anew.
 */
export class RestartDelay {
  #nextMs: number;

  constructor(private readonly limits: WorkerLimits['restartMs']) {
    this.#nextMs = limits.first;
  }

  /**
   * The delay, in ms.
   * @param uptimeMs how long the worker has run that was lost
   */
  next(uptimeMs: number): number {
    const { first, last } = this.limits;
    const delayMs = uptimeMs > last ? first : this.#nextMs;
    this.#nextMs = Math.min(2 * delayMs, last);
    return delayMs;
  }
}
