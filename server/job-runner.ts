import PQueue from 'p-queue';
import { RequestError } from './errors.js';
import type { Metrics } from './metrics.js';
import type { Receipt } from './receipt.js';
import type { Stage } from './segment.js';
import type { JobSpec, Progress } from './segmenter.js';
import type { WorkerClient } from './worker/client.js';

export interface JobRunnerOptions {
  readonly worker: WorkerClient;
  readonly metrics: Metrics;
  /** Jobs that the worker has at a time; their tiles share batches. */
  readonly concurrency: number;
  /** Requests in the server at most, those that upload and those that run included. */
  readonly limit: number;
}

/** Admits requests up to a bound, and passes their jobs to the worker in order. */
export class JobRunner {
  readonly #queue: PQueue;
  #admitted = 0;

  constructor(private readonly options: JobRunnerOptions) {
    this.#queue = new PQueue({ concurrency: options.concurrency });
  }

  /**
   * Takes a place; the function returned gives it back.
   * @throws RequestError `busy` where none is free
   */
  admit(): () => void {
    if (this.#admitted >= this.options.limit) {
      throw new RequestError('busy', `${this.#admitted} requests are in the server, as many as it takes`);
    }
    this.#admitted++;
    return () => {
      this.#admitted--;
    };
  }

  observe(stage: Stage, durationMs: number): void {
    this.options.metrics.stageDuration.observe({ stage }, durationMs / 1000);
  }

  /**
   * Waits for the worker and runs a job there. When `signal` aborts, a job that waits leaves at once;
   * one that runs leaves when the worker has stopped it, so that its files can be removed.
   */
  async run(job: JobSpec, signal: AbortSignal): Promise<Receipt> {
    const waiting = new AbortController();
    const leave = () => waiting.abort(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    const result = this.#queue.add(
      async () => {
        signal.removeEventListener('abort', leave);
        this.#gauge();
        return this.#runNow(job, signal);
      },
      { signal: waiting.signal },
    );
    this.#gauge();
    try {
      return await result;
    } finally {
      signal.removeEventListener('abort', leave);
      this.#gauge();
    }
  }

  async #runNow(job: JobSpec, signal: AbortSignal): Promise<Receipt> {
    const { worker, metrics } = this.options;
    const done = { tiles: 0, pixels: 0, computed: 0 };
    metrics.jobs.inc({ state: 'running' });
    try {
      const listener = {
        onStage: (stage: Stage, ms: number) => this.observe(stage, ms),
        onProgress: ({ tilesDone, pixelsDone, computedPixels }: Progress) => {
          done.tiles = tilesDone;
          done.pixels = pixelsDone;
          done.computed += computedPixels;
        },
      };
      const receipt = await worker.run(job, listener, signal);
      const model = receipt.model.name;
      metrics.tiles.inc({ model }, done.tiles);
      metrics.pixels.inc({ model }, done.pixels);
      metrics.haloPixels.inc(done.computed - done.pixels);
      return receipt;
    } finally {
      metrics.jobs.dec({ state: 'running' });
    }
  }

  #gauge(): void {
    const { metrics } = this.options;
    metrics.queueDepth.set({ class: 'jobs' }, this.#queue.size);
    metrics.jobs.set({ state: 'queued' }, this.#queue.size);
  }
}
