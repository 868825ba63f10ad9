import { RequestError } from '../contract/errors.js';

/** How many jobs have not ended: those that wait or run, and those that are paused. */
export interface Occupancy {
  readonly active: number;
  readonly paused: number;
}

/** Bounds the jobs that have not ended, together with the requests that are about to submit one. */
export class Admission {
  #pending = 0;

  /**
   * @param limit jobs and requests that are admitted at a time
   * @param occupancy counts the jobs that have not ended
   */
  constructor(
    private readonly limit: number,
    private readonly occupancy: () => Occupancy,
  ) {}

  /**
   * Holds a place while `work` submits a job or fails.
   *
   * @param isReceived whether its image has been uploaded already: what took a client an hour is not turned away.
   *   Uploads at a time are limited to as many as jobs, so these never exceed twice the limit.
   * @throws RequestError `busy` when no place is free
   */
  async withPlace<Result>(work: () => Promise<Result>, isReceived = false): Promise<Result> {
    this.check(isReceived ? 2 * this.limit : this.limit);
    this.#pending++;
    try {
      return await work();
    } finally {
      this.#pending--;
    }
  }

  /**
   * Throws when a job would find no place; for routes to call before they receive an image.
   * @throws RequestError `busy`
   */
  check(limit = this.limit): void {
    const { active, paused } = this.occupancy();
    // Paused jobs take places only beyond the limit. So a source that is offline for a day does not block
    // everyone else, and the number of paused jobs is bounded all the same.
    const taken = this.#pending + active + Math.max(0, paused - this.limit);
    if (taken >= limit) {
      throw new RequestError('busy', `${taken} jobs are pending or running: the server accepts no more`);
    }
  }
}
