import type { Logger } from 'pino';
import type { Failure, JobProgress, Live } from '../contract/schemas/job.js';
import type { Stage } from '../contract/stages.js';
import { count, type Exemplar, observe } from '../metrics/exemplars.js';
import type { Metrics } from '../metrics/metrics.js';
import { EventLog } from './events.js';
import { hasEnded, type JobRecord, transition } from './job.js';
import { countProgress, msSince, observeEnd, observeStart } from './job-metrics.js';
import type { JobTrace } from './job-trace.js';
import { ProgressMeter } from './progress-meter.js';
import type { JobStore } from './store.js';

export interface TrackingOptions {
  readonly store: Pick<JobStore, 'write' | 'end'>;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Closes what viewers have open of a job's files: they are about to be removed. */
  readonly closeFiles: (id: string) => Promise<void>;
}

/**
 * What is known of one job: its record, its progress and its events. Each change of its state is written to the
 * store, published, and counted. A job that its request awaits is never written.
 */
export class TrackedJob {
  readonly events = new EventLog();
  readonly #meter: ProgressMeter;
  readonly #exemplar: Exemplar;
  #record: JobRecord;
  /** The next attempt of a job that waits for it; null for any other. */
  retry: Live['retry'] = null;

  /**
   * @param isAwaited whether the job ends with the request that submitted it
   * @param trace null where none is recorded
   */
  constructor(
    record: JobRecord,
    readonly isAwaited: boolean,
    private readonly options: TrackingOptions,
    private readonly trace: JobTrace | null = null,
  ) {
    this.#record = record;
    this.#meter = new ProgressMeter(options.now);
    this.#exemplar = { job_id: record.id, ...(trace && { trace_id: trace.traceId }) };
  }

  get record(): JobRecord {
    return this.#record;
  }

  get hasEnded(): boolean {
    return hasEnded(this.#record);
  }

  /** When the job ended or was paused, in ms since 1970; null while it is neither. */
  get idleSince(): number | null {
    const { pause, finishedAt } = this.#record;
    const since = pause?.since ?? finishedAt;
    return since === null ? null : Date.parse(since);
  }

  /** How long the job has waited for its first start, in ms, perhaps in earlier servers; 0 for one that has started. */
  get waitedMs(): number {
    const { startedAt, createdAt } = this.#record;
    return startedAt === null ? msSince(createdAt, this.options.now()) : 0;
  }

  /** Tiles that were done in this process, or replayed. */
  get tilesDone(): number {
    return this.#meter.latest?.tilesDone ?? 0;
  }

  /** What changes while a job runs, and is not in its record. */
  get live(): Live {
    const { retry } = this;
    const progress = this.#progress;
    if (this.#record.state !== 'running' || !progress || progress.pixelsComputed === 0) {
      return { progress, pixelsPerSecond: null, secondsLeft: null, retry };
    }
    return { progress, ...this.#meter.rates(progress), retry };
  }

  /** Starts an attempt: the job has its place in the worker. */
  async start(): Promise<void> {
    this.#meter.start();
    const { metrics, now } = this.options;
    if (this.#record.startedAt === null) observeStart(metrics, this.#record, now(), this.#exemplar);
    this.trace?.event('started');
    await this.move('running', { startedAt: this.#record.startedAt ?? this.isoTime() });
  }

  /**
   * Takes a stage that one of its tiles or bands has passed.
   * @param endedAtMs when, in ms since 1970
   */
  passStage(stage: Stage, durationMs: number, endedAtMs: number): void {
    observe(this.options.metrics.stageDuration, { stage }, durationMs / 1000, this.#exemplar);
    this.trace?.stage(stage, durationMs, endedAtMs);
  }

  /** Ends an attempt, whatever comes after it. */
  endAttempt(): void {
    this.trace?.endAttempt();
  }

  /** Leaves the job to the next server. */
  leave(): void {
    this.trace?.end(this.#record.state, null);
  }

  /** Counts a failed attempt, and notes when the next one is. */
  retryAfter(failure: Failure, delayMs: number): void {
    this.retry = { ...failure, at: this.isoTime(delayMs) };
    count(this.options.metrics.jobRetries, { code: failure.code }, this.#exemplar);
    this.trace?.event('retry', { 'unseam.code': failure.code });
  }

  /** Takes a report of the worker. */
  report(progress: JobProgress): void {
    countProgress(this.options.metrics, this.#record, this.#meter.latest, progress);
    if (this.#meter.report(progress)) this.events.add('progress', this.live);
  }

  /** Counts a worker that crashed while it ran the job; the job goes on in the next one. */
  countRestart(): void {
    const restarts = this.#record.restarts + 1;
    this.#record = { ...this.#record, restarts };
    count(this.options.metrics.jobRestarts, {}, this.#exemplar);
    this.trace?.event('worker lost');
    this.events.add('state', { state: 'running', restarts });
  }

  /** Pauses the job for a failure that may pass. */
  async pause(failure: Failure): Promise<void> {
    await this.move('paused', { pause: { ...failure, since: this.isoTime() } });
    count(this.options.metrics.jobPauses, { code: failure.code }, this.#exemplar);
    this.trace?.event('paused', { 'unseam.code': failure.code });
  }

  /**
   * Moves the job to a state in which it has not ended. Queued and paused are published even when they cannot be
   * written: a failing disk may be the very cause, and the last record, of a running job, recovers the same way.
   *
   * @throws an error of the file system when `running` cannot be written
   */
  async move(state: 'queued' | 'running' | 'paused', changes: Partial<JobRecord> = {}): Promise<void> {
    const { store, log } = this.options;
    const next = transition(this.#record, state, { pause: null, ...changes, progress: this.#progress });
    if (!this.isAwaited) {
      await store.write(next).catch((err: unknown) => {
        if (state === 'running') throw err;
        log.warn({ err, job: next.id, state }, 'cannot write the state of a job');
      });
    }
    this.#publish(next);
  }

  /** Ends the job: writes its last record and removes what it no longer needs. */
  async end(state: 'succeeded' | 'failed' | 'cancelled', changes: Partial<JobRecord> = {}): Promise<void> {
    const { store, log, closeFiles } = this.options;
    const finishedAt = this.isoTime();
    const ended = transition(this.#record, state, {
      pause: null,
      ...changes,
      finishedAt,
      progress: this.#progress,
    });
    try {
      if (state !== 'succeeded') await closeFiles(ended.id);
      if (!this.isAwaited) await store.end(ended); // the folder of one that is awaited is removed by its request
    } catch (err) {
      log.error({ err, job: ended.id }, 'cannot write the end of a job');
    }
    observeEnd(this.options.metrics, ended, this.options.now(), this.#exemplar);
    this.trace?.end(state, ended.error?.code ?? null);
    this.#publish(ended);
  }

  /** Records the strikes against the job; they are written only while it runs. */
  async saveStrikes(strikes: number): Promise<void> {
    const { store, log } = this.options;
    this.#record = { ...this.#record, strikes };
    if (this.isAwaited || this.#record.state !== 'running') return;
    await store.write(this.#record).catch((err: unknown) => {
      log.error({ err, job: this.#record.id }, 'cannot write the strikes against a job');
    });
  }

  /** The time `afterMs` from now, in ISO 8601. */
  isoTime(afterMs = 0): string {
    return new Date(this.options.now() + afterMs).toISOString();
  }

  get #progress(): JobProgress | null {
    return this.#meter.latest ?? this.#record.progress;
  }

  #publish(record: JobRecord): void {
    this.#record = record;
    this.events.add('state', { state: record.state });
  }
}
