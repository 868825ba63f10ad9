import PQueue from 'p-queue';
import type { Priority } from '../../model/scheduler/priority.js';
import type { JobSpec } from '../contract/job-spec.js';
import type { Receipt } from '../contract/receipt.js';
import type { WorkerClient } from '../worker/client.js';
import { Isolation } from './isolation.js';
import { type RunOptions, SupervisedRun } from './supervised-run.js';

export interface RunnerOptions extends RunOptions {
  /** How long the job has waited for its first place before, in ms, in an earlier server above all. Default 0. */
  readonly waitedMs?: number;
  /** Called when the job has its place, before it runs; the job ends where it rejects. */
  readonly onStart: () => Promise<void>;
}

/** Passes jobs to the worker, a bounded number at a time; interactive jobs have places of their own. */
export class JobRunner {
  readonly #interactive: PQueue;
  readonly #others: PQueue;
  readonly #isolation: Isolation;
  /** The jobs that wait for a place, since when, in ms of the clock. */
  readonly #waiting = new Map<JobSpec, number>();

  /**
   * @param concurrency interactive jobs in the worker at a time, and as many others; at least 1
   * @param now the clock, in ms
   */
  constructor(
    private readonly worker: Pick<WorkerClient, 'run' | 'hold'>,
    concurrency: number,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#interactive = new PQueue({ concurrency });
    this.#others = new PQueue({ concurrency });
    this.#isolation = new Isolation(() => worker.hold());
  }

  /** Jobs of a priority that wait for a place. */
  waiting(priority: Priority): number {
    if (priority === 'interactive') return this.#interactive.size;
    return this.#others.sizeBy({ priority: rankOf(priority) });
  }

  /** How long the one of these jobs that waits longest has waited, in ms; 0 where there is none. */
  oldestMs(priority: Priority): number {
    const now = this.now();
    return [...this.#waiting]
      .filter(([spec]) => spec.priority === priority)
      .reduce((oldest, [, since]) => Math.max(oldest, now - since), 0);
  }

  /** Jobs that wait for a place, and would get one before a new job of this priority. */
  before(priority: Priority): number {
    if (priority === 'bulk') return this.waiting('normal') + this.waiting('bulk');
    return this.waiting(priority);
  }

  /**
   * Waits for a place and runs a job. When `signal` aborts, a waiting job leaves at once; a running one leaves
   * when the worker has stopped it, so that its files can be removed.
   *
   * @throws RequestError `worker-killer`, `worker-hung` for a job that crashed too many workers
   */
  async run(spec: JobSpec, { onStart, waitedMs = 0, ...options }: RunnerOptions): Promise<Receipt> {
    const { signal } = options;
    const waiting = new AbortController();
    const leave = () => waiting.abort(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    const work = async (): Promise<Receipt> => {
      signal.removeEventListener('abort', leave);
      this.#waiting.delete(spec);
      await onStart();
      return new SupervisedRun(this.worker, this.#isolation, spec, options).toEnd();
    };
    const queue = spec.priority === 'interactive' ? this.#interactive : this.#others;
    this.#waiting.set(spec, this.now() - waitedMs);
    try {
      return await queue.add(work, { signal: waiting.signal, priority: rankOf(spec.priority) });
    } finally {
      this.#waiting.delete(spec);
      signal.removeEventListener('abort', leave);
    }
  }
}

/** For p-queue, which starts the greater first. */
const rankOf = (priority: Priority): number => ({ interactive: 2, normal: 1, bulk: 0 })[priority];
