import PQueue from 'p-queue';
import { EngineLostError } from '../../model/errors.js';
import type { Priority } from '../../model/scheduler.js';
import { RequestError } from '../errors.js';
import type { JobSpec, Progress } from '../job-spec.js';
import type { Receipt } from '../receipt.js';
import type { JobListener, WorkerClient } from '../worker/client.js';

/** A job that ends so many workers without finishing a band in between is given up. */
const MAX_STRIKES = 3;

interface Task {
  readonly spec: JobSpec;
  readonly listener: JobListener;
  readonly signal: AbortSignal;
  strikes: number;
  /** Whether a worker ended with it inside: it then has to show that it can get further. */
  suspect: boolean;
  /** Called when it has got further; null while it need not. */
  acquit: (() => void) | null;
  progress: Progress | null;
  /** Tiles that were done when its last worker ended, and those of them that it had found done. */
  last: { readonly done: number; readonly replayed: number };
}

/**
 * Passes jobs to the worker: as many at a time as are allowed, interactive ones in places of their own.
 *
 * When the worker ends, its jobs go on in the next one. They go one after the other, each from where
 * its journal ends, until it has got past where it was: so it shows which of them ended the worker.
 */
export class JobRunner {
  readonly #interactive: PQueue;
  readonly #others: PQueue;
  readonly #inWorker = new Set<Task>();
  #trials: Promise<void> = Promise.resolve();

  /** @param concurrency jobs in the worker at a time, of interactive ones and of others */
  constructor(
    private readonly worker: Pick<WorkerClient, 'run'>,
    concurrency: number,
  ) {
    this.#interactive = new PQueue({ concurrency });
    this.#others = new PQueue({ concurrency });
  }

  /** Jobs that wait for a place. */
  waiting(priority: Priority): number {
    if (priority === 'interactive') return this.#interactive.size;
    return this.#others.sizeBy({ priority: priorityNumber(priority) });
  }

  /** Jobs that wait for a place, and would get one before a new job of this priority. */
  before(priority: Priority): number {
    if (priority === 'interactive') return this.#interactive.size;
    const ahead = priority === 'normal' ? (['normal'] as const) : (['normal', 'bulk'] as const);
    return ahead.reduce((sum, each) => sum + this.waiting(each), 0);
  }

  /**
   * Waits for a place and runs a job. When `signal` aborts, a job that waits leaves at once; one that
   * runs leaves when the worker has stopped it, so that its files can be removed.
   *
   * @param started called when the job has its place
   * @throws RequestError `worker-killer` for a job that ended too many workers
   */
  run(
    spec: JobSpec,
    priority: Priority,
    signal: AbortSignal,
    listener: JobListener,
    started: () => Promise<void>,
  ): Promise<Receipt> {
    const waiting = new AbortController();
    const leave = () => waiting.abort(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    const queue = priority === 'interactive' ? this.#interactive : this.#others;
    const work = async (): Promise<Receipt> => {
      signal.removeEventListener('abort', leave);
      await started();
      return this.#runToEnd(spec, listener, signal);
    };
    return queue
      .add(work, { signal: waiting.signal, priority: priorityNumber(priority) })
      .finally(() => signal.removeEventListener('abort', leave));
  }

  /** To be called when the worker has ended, before its jobs learn of it. */
  workerLost(): void {
    const inside = [...this.#inWorker];
    const guilty = inside.find(({ acquit }) => acquit !== null) ?? (inside.length === 1 ? inside[0]! : null);
    for (const task of inside) {
      const { tilesDone = 0, tilesReplayed = 0 } = task.progress ?? {};
      if (tilesReplayed > task.last.replayed) task.strikes = 0; // it had finished a band since
      if (task === guilty) task.strikes++;
      task.suspect = true;
      task.last = { done: tilesDone, replayed: tilesReplayed };
    }
  }

  async #runToEnd(spec: JobSpec, listener: JobListener, signal: AbortSignal): Promise<Receipt> {
    const task: Task = {
      ...{ spec, listener, signal },
      ...{ strikes: 0, suspect: false, acquit: null, progress: null, last: { done: 0, replayed: 0 } },
    };
    for (;;) {
      try {
        return await this.#attempt(task);
      } catch (error) {
        if (!(error instanceof EngineLostError) || signal.aborted) throw error;
        if (task.strikes >= MAX_STRIKES) {
          const message = `the worker ended ${task.strikes} times with this job in it (${error.message}): it is given up`;
          throw new RequestError('worker-killer', message, { cause: error });
        }
      }
    }
  }

  async #attempt(task: Task): Promise<Receipt> {
    if (task.suspect) await this.#standTrial(task);
    else await this.#trials;
    task.progress = null;
    this.#inWorker.add(task);
    try {
      return await this.worker.run(
        task.spec,
        {
          onStage: task.listener.onStage,
          onProgress: (progress) => {
            task.progress = progress;
            if (progress.tilesDone > task.last.done) {
              task.suspect = false;
              task.acquit?.();
            }
            task.listener.onProgress(progress);
          },
        },
        task.signal,
      );
    } finally {
      task.acquit?.();
      this.#inWorker.delete(task);
    }
  }

  /** Waits until those before it have got further; those after it wait until this one has. */
  async #standTrial(task: Task): Promise<void> {
    const before = this.#trials;
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#trials = before.then(() => ended);
    await before;
    task.acquit = () => {
      task.acquit = null;
      end();
    };
  }
}

/** For p-queue: the greater goes first. */
const priorityNumber = (priority: Priority): number => ({ interactive: 2, normal: 1, bulk: 0 })[priority];
