import { EngineLostError } from '../../model/errors.js';
import { withoutNames } from '../contract/private-names.js';
import { codeOf, detailOf } from '../contract/problems.js';
import type { Failure } from '../contract/schemas/job.js';
import { delay } from '../storage/delay.js';
import type { Span, Tracer } from '../traces/tracer.js';
import { namesOf } from './hidden-source.js';
import { hasEnded, type JobRecord, type RecordedReceipt, transition } from './job.js';
import { JobTrace } from './job-trace.js';
import { checkOf, pollUntil } from './pause.js';
import type { JobPlanner } from './planner.js';
import { isTemporary, Patience, RECOVERY, type RecoveryTimes } from './recovery.js';
import type { JobRunner } from './runner.js';
import { specOf } from './spec.js';
import type { JobStore } from './store.js';
import type { StrikeBook } from './supervised-run.js';
import { TrackedJob, type TrackingOptions } from './tracked-job.js';

export interface LifeOptions extends TrackingOptions {
  readonly store: JobStore;
  readonly runner: JobRunner;
  readonly planner: JobPlanner;
  /** Resolves when the results of a job would survive a power failure. */
  readonly syncResults: (record: JobRecord) => Promise<void>;
  /** Has later jobs find the results of a job that succeeds; see `ResultCache.add`. */
  readonly cacheResults: (
    record: JobRecord,
    receipt: RecordedReceipt,
    isAwaited: boolean,
  ) => Promise<JobRecord['cache']>;
  /** Null if no traces are recorded. */
  readonly tracer?: Tracer | null;
  /** Whether names of images are removed from failures that clients see. Default false. */
  readonly hidesNames?: boolean | undefined;
  /** Aborts when the server begins to close. */
  readonly closing: AbortSignal;
  /** Default `RECOVERY`. */
  readonly recovery?: RecoveryTimes | undefined;
  /** Resolves after `ms`, or when the signal aborts. Default `delay`. */
  readonly wait?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined;
}

/** Why a job is stopped: its client cancelled it, or the server closes and the next one resumes it. */
type StopReason = 'cancelled' | 'requeue';

/** Takes one job from its submission to its end, through retries and pauses. */
export class JobLife {
  /** Resolves when the job has ended, or is queued again because the server closes. Never rejects. */
  readonly done: Promise<void>;
  readonly #stop = new AbortController();
  readonly #patience: Patience;
  /** While the job is paused: `wake` ends the pause, `over` resolves when it has ended. */
  #pause: { readonly wake: AbortController; readonly over: Promise<void> } | null = null;

  /**
   * Starts the life of a job that was just submitted.
   * @param span of the request that submitted it; null if its trace is not recorded
   */
  static begin(record: JobRecord, isAwaited: boolean, span: Span | null, options: LifeOptions): JobLife {
    const trace = span && JobTrace.of((...child) => span.child(...child), record);
    const job = new TrackedJob(record, isAwaited, options, trace);
    job.events.add('state', { state: record.state });
    return new JobLife(job, false, options);
  }

  /** The life of a job that ended when it was submitted: it has the results of an earlier one. */
  static ended(record: JobRecord, isAwaited: boolean, options: LifeOptions): JobLife {
    return new JobLife(new TrackedJob(record, isAwaited, options), false, options);
  }

  /** Continues the life of a job that an earlier server left in the store. */
  static recover(record: JobRecord, options: LifeOptions): JobLife {
    // A job that was running is queued again, and resumes where its journal ends.
    const wasRunning = record.state === 'running';
    const queued = wasRunning ? transition(record, 'queued') : record;
    const { tracer } = options;
    const isTraced = tracer && !hasEnded(queued);
    const trace = isTraced ? JobTrace.of((name, more) => tracer.start(name, null, more), queued) : null;
    return new JobLife(new TrackedJob(queued, false, options, trace), wasRunning, options);
  }

  /** @param isSuspect whether a server crashed while it ran the job */
  private constructor(
    readonly job: TrackedJob,
    private readonly isSuspect: boolean,
    private readonly options: LifeOptions,
  ) {
    this.#patience = new Patience(options.recovery ?? RECOVERY);
    this.done = job.hasEnded ? Promise.resolve() : this.#run();
  }

  /** Cancels the job; resolves when nothing of it remains on the disk but its record. */
  async cancel(): Promise<void> {
    this.#stop.abort('cancelled' satisfies StopReason);
    await this.done;
  }

  /** Stops the job so that the next server resumes it. */
  requeue(): void {
    this.#stop.abort('requeue' satisfies StopReason);
  }

  /**
   * Ends the pause of a paused job; resolves when it is queued.
   * @returns false for a job that is not paused
   */
  async resume(): Promise<boolean> {
    if (this.#pause === null) return false;
    this.#pause.wake.abort();
    await this.#pause.over;
    return true;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (;;) {
      if (this.job.record.state === 'paused' && !signal.aborted) await this.#waitOutPause();
      const failure = await this.#attempt();
      if (failure === null) return;
      const delayMs = this.#patience.next(this.job.tilesDone);
      if (delayMs === null) await this.job.pause(failure);
      else await this.#waitForRetry(failure, delayMs);
    }
  }

  /**
   * Runs the job once.
   * @returns null when the job has ended or is queued for the next server; a temporary failure otherwise
   */
  async #attempt(): Promise<Failure | null> {
    const { job } = this;
    const { runner, store, syncResults, cacheResults } = this.options;
    try {
      const receipt = await runner.run(specOf(job.record, store.folder(job.record.id)), {
        signal: this.#stop.signal,
        waitedMs: job.waitedMs,
        onStart: () => job.start(),
        onStage: (...passed) => job.passStage(...passed),
        onProgress: (progress) => job.report(progress),
        onWorkerLost: () => job.countRestart(),
        strikeBook: this.#strikeBook(),
      });
      if (!job.isAwaited) await syncResults(job.record);
      const cache = await cacheResults(job.record, receipt, job.isAwaited);
      await job.end('succeeded', { receipt, cache });
      return null;
    } catch (error) {
      return this.#handle(error);
    } finally {
      job.endAttempt();
    }
  }

  /**
   * Ends or requeues the job as the error of its attempt demands.
   * @returns the failure instead where it is temporary: the job is retried
   */
  async #handle(error: unknown): Promise<Failure | null> {
    const { job } = this;
    const { log, closing } = this.options;
    const { signal } = this.#stop;
    const isRequeued = signal.reason === ('requeue' satisfies StopReason);
    if (isRequeued || (closing.aborted && error instanceof EngineLostError)) {
      if (job.record.state === 'running') await job.move('queued');
      job.leave();
      return null;
    }
    if (signal.aborted) {
      await job.end('cancelled');
      return null;
    }
    const { hidesNames = false } = this.options;
    const told = hidesNames ? withoutNames(error, namesOf(job.record)) : error;
    const failure: Failure = { code: codeOf(told), detail: detailOf(told) };
    if (isTemporary(failure.code) && !job.isAwaited) {
      log.warn({ err: error, job: job.record.id }, 'job interrupted');
      return failure;
    }
    log.error({ err: error, job: job.record.id }, 'job failed');
    await job.end('failed', { error: failure });
    return null;
  }

  async #waitForRetry(failure: Failure, delayMs: number): Promise<void> {
    const { job } = this;
    const { wait = delay } = this.options;
    job.retryAfter(failure, delayMs);
    if (job.record.state === 'running') await job.move('queued');
    else job.events.add('state', { state: 'queued' });
    await wait(delayMs, this.#stop.signal);
    job.retry = null;
  }

  /** Holds a paused job until its cause is gone, its client resumes it, or it is stopped. */
  async #waitOutPause(): Promise<void> {
    const wake = new AbortController();
    const over = this.#queueOnceResolved(AbortSignal.any([this.#stop.signal, wake.signal]));
    this.#pause = { wake, over };
    await over;
    this.#pause = null;
  }

  async #queueOnceResolved(signal: AbortSignal): Promise<void> {
    const { job } = this;
    const { store, planner, wait = delay } = this.options;
    const check = await checkOf({
      code: job.record.pause?.code ?? '',
      folder: store.root,
      isFresh: !this.#patience.isNew,
      open: () => planner.plan(specOf(job.record, store.folder(job.record.id))),
    });
    await pollUntil(check, { nextDelayMs: () => this.#patience.probe(), wait, signal });
    if (!this.#stop.signal.aborted) await job.move('queued');
  }

  #strikeBook(): StrikeBook {
    const { job } = this;
    return {
      get strikes() {
        return job.record.strikes;
      },
      isSuspect: this.isSuspect,
      save: (strikes) => job.saveStrikes(strikes),
    };
  }
}
