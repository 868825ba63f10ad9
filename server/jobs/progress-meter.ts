import type { JobProgress } from '../contract/schemas/job.js';

/** The least time between two `progress` events of a job, except for the last. */
const PUBLISH_INTERVAL_MS = 250;

/** Measures how far a job is and how fast it computes, from what its workers report. */
export class ProgressMeter {
  #latest: JobProgress | null = null;
  /** When the px of `latest` began to be computed. */
  #startedMs = 0;
  #publishedMs = Number.NEGATIVE_INFINITY;

  /** @param now milliseconds of any epoch */
  constructor(private readonly now: () => number) {}

  /** The last report; null before the first. */
  get latest(): JobProgress | null {
    return this.#latest;
  }

  /** Starts the clock of an attempt. */
  start(): void {
    this.#startedMs = this.now();
    this.#publishedMs = Number.NEGATIVE_INFINITY;
  }

  /**
   * Takes a report of the worker.
   * @returns whether it should be published now
   */
  report(progress: JobProgress): boolean {
    this.#latest = progress;
    const now = this.now();
    // Opening the image, replaying the journal and earlier workers say nothing about the speed.
    if (progress.pixelsComputed === 0) this.#startedMs = now;
    const isLast = progress.tilesDone >= progress.tiles;
    if (!isLast && now - this.#publishedMs < PUBLISH_INTERVAL_MS) return false;
    this.#publishedMs = now;
    return true;
  }

  /**
   * The speed of a running job in whole px per second, and the seconds until it ends.
   * @param progress of the job, with some px computed
   */
  rates({ pixels, pixelsDone, pixelsComputed }: JobProgress) {
    const pixelsPerSecond = pixelsComputed / ((this.now() - this.#startedMs) / 1000);
    return {
      pixelsPerSecond: Math.round(pixelsPerSecond),
      secondsLeft: Math.ceil((pixels - pixelsDone) / pixelsPerSecond),
    };
  }
}
