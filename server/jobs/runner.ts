import PQueue from 'p-queue';
import type { Priority } from '../../model/scheduler.js';
import { RequestError } from '../contract/errors.js';
import type { JobProgress, JobSpec } from '../contract/job-spec.js';
import type { Receipt } from '../contract/receipt.js';
import type { JobListener, WorkerClient } from '../worker/client.js';
import { WorkerLostError } from '../worker/lost.js';

/** A job that ends so many workers without finishing a band in between is given up. */
const MAX_STRIKES = 3;
/** After so many ends of workers that it may have caused, a job runs alone to its end. */
const MAX_DOUBTS = 3;

/** What is held against a job, where it outlives the server. */
export interface StrikeBook {
  /** Workers and servers that ended with this job alone in them, since it last finished a band. */
  readonly strikes: number;
  /** Whether a server ended with it inside. */
  readonly isSuspect: boolean;
  /** Writes strikes down; resolves when they would survive the end of this machine. */
  save(strikes: number): Promise<void>;
}

export interface RunListener extends JobListener {
  /** Called when a worker has ended with the job in it. */
  readonly onWorkerLost?: () => void;
}

interface Task {
  readonly spec: JobSpec;
  readonly listener: RunListener;
  readonly signal: AbortSignal;
  readonly book: StrikeBook;
  strikes: number;
  /** Ends of workers that it, or another job, has caused. */
  doubts: number;
  /** Whether it has to show, alone, that it can get further. */
  suspect: 'of a worker' | 'of a server' | null;
  /** Called when it has got further; null while it need not. */
  acquit: (() => void) | null;
  progress: JobProgress | null;
  /** Tiles that were done when its last worker ended. */
  lastDone: number;
}

/**
 * Passes jobs to the worker: as many at a time as are allowed, interactive ones in places of their own.
 *
 * When the worker ends, its jobs go on in the next one. They go one after the other, each from where
 * its journal ends, until it has got past where it was: so it shows which of them ended the worker. Only an
 * end with a job alone in the worker is held against it. That is written down before it starts again, for the
 * next end may be that of the server, or of the whole container.
 */
export class JobRunner {
  readonly #interactive: PQueue;
  readonly #others: PQueue;
  #trials: Promise<void> = Promise.resolve();
  /** What jobs that nothing is held against wait for: trials of this server's workers. */
  #gate: Promise<void> = Promise.resolve();

  /** @param concurrency jobs in the worker at a time, of interactive ones and of others */
  constructor(
    private readonly worker: Pick<WorkerClient, 'run'> & Partial<Pick<WorkerClient, 'hold'>>,
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
   * @param book what is held against it
   * @throws RequestError `worker-killer`, `worker-hung` for a job that ended too many workers
   */
  run(
    spec: JobSpec,
    priority: Priority,
    signal: AbortSignal,
    listener: RunListener,
    started: () => Promise<void>,
    book: StrikeBook = { strikes: 0, isSuspect: false, save: async () => undefined },
  ): Promise<Receipt> {
    const waiting = new AbortController();
    const leave = () => waiting.abort(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    const queue = priority === 'interactive' ? this.#interactive : this.#others;
    const work = async (): Promise<Receipt> => {
      signal.removeEventListener('abort', leave);
      await started();
      return this.#runToEnd(spec, listener, signal, book);
    };
    return queue
      .add(work, { signal: waiting.signal, priority: priorityNumber(priority) })
      .finally(() => signal.removeEventListener('abort', leave));
  }

  async #runToEnd(
    spec: JobSpec,
    listener: RunListener,
    signal: AbortSignal,
    book: StrikeBook,
  ): Promise<Receipt> {
    const task: Task = {
      spec,
      listener,
      signal,
      book,
      strikes: book.strikes,
      doubts: 0,
      suspect: book.isSuspect ? 'of a server' : null,
      acquit: null,
      progress: null,
      lastDone: 0,
    };
    let last: WorkerLostError | null = null;
    for (;;) {
      if (task.strikes >= MAX_STRIKES) throw givenUp(task.strikes, last);
      try {
        return await this.#attempt(task);
      } catch (error) {
        if (!(error instanceof WorkerLostError) || signal.aborted) throw error;
        listener.onWorkerLost?.();
        last = error;
        if (error.blame === 'certain') task.strikes++;
        if (error.blame === 'possible') task.doubts++;
        if (error.blame !== 'none') task.suspect = 'of a worker';
        task.lastDone = Math.max(task.lastDone, task.progress?.tilesDone ?? 0);
        if (task.strikes !== book.strikes) await book.save(task.strikes);
      }
    }
  }

  async #attempt(task: Task): Promise<Receipt> {
    const { book, listener } = task;
    if (task.suspect) await this.#standTrial(task, task.suspect);
    else await untilAborted(this.#gate, task.signal);
    task.progress = null;
    let isLost = false;
    try {
      // Written before it starts: should it take the server with it, the next one knows.
      if (task.suspect) await book.save(task.strikes + 1);
      return await this.worker.run(
        task.spec,
        {
          onStage: (stage, durationMs) => {
            // A band is written, and more are to come: what comes next starts from here.
            const { tilesDone = 0, tiles = 0 } = task.progress ?? {};
            if (stage === 'encode' && tilesDone < tiles) this.#gotFurther(task);
            listener.onStage(stage, durationMs);
          },
          onProgress: (progress) => {
            task.progress = progress;
            const isPast = progress.tilesDone > task.lastDone && task.doubts < MAX_DOUBTS;
            if (isPast && task.suspect === 'of a worker') this.#acquit(task);
            listener.onProgress(progress);
          },
        },
        task.signal,
      );
    } catch (error) {
      isLost = error instanceof WorkerLostError;
      throw error;
    } finally {
      task.acquit?.();
      // It ended by itself, or was stopped: that is no strike.
      if (!isLost && book.strikes !== task.strikes) await book.save(task.strikes);
    }
  }

  /** A band more is finished: nothing is held against the job any longer. */
  #gotFurther(task: Task): void {
    if (task.strikes === 0 && task.book.strikes === 0 && task.suspect === null) return;
    task.strikes = 0;
    if (task.book.strikes !== 0) void task.book.save(0);
    if (task.doubts < MAX_DOUBTS) this.#acquit(task);
  }

  #acquit(task: Task): void {
    task.suspect = null;
    task.acquit?.();
  }

  /** Waits until those before it have got further; those after it wait until this one has. */
  async #standTrial(task: Task, of: 'of a worker' | 'of a server'): Promise<void> {
    const before = this.#trials;
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#trials = before.then(() => ended);
    // After the end of a server its jobs may be many, and whoever comes anew is none of them.
    if (of === 'of a worker') this.#gate = this.#trials;
    await untilAborted(before, task.signal).catch((error: unknown) => {
      end();
      throw error;
    });
    const release = this.worker.hold?.();
    task.acquit = () => {
      task.acquit = null;
      release?.();
      end();
    };
  }
}

/** Waits, but no longer than until a job is cancelled. */
function untilAborted(waited: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    if (signal.aborted) return leave();
    signal.addEventListener('abort', leave, { once: true });
    void waited.then(() => {
      signal.removeEventListener('abort', leave);
      resolve();
    });
  });
}

function givenUp(strikes: number, last: WorkerLostError | null): RequestError {
  const why = last ? ` (${last.message})` : '';
  const what = last?.hung ? 'the worker hung' : 'the worker ended';
  const message = `${what} ${strikes} times with this job in it${why}: it is given up`;
  return new RequestError(last?.hung ? 'worker-hung' : 'worker-killer', message, { cause: last });
}

/** For p-queue: the greater goes first. */
const priorityNumber = (priority: Priority): number => ({ interactive: 2, normal: 1, bulk: 0 })[priority];
