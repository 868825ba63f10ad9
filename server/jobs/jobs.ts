import type { Logger } from 'pino';
import { EngineLostError } from '../../model/errors.js';
import { PRIORITIES, type Priority } from '../../model/scheduler.js';
import { RequestError } from '../errors.js';
import type { PlanSpec, Progress } from '../job-spec.js';
import type { Metrics } from '../metrics.js';
import { codeOf, detailOf } from '../problems.js';
import type { Stage } from '../segment.js';
import type { WorkerClient } from '../worker/client.js';
import type { JobFacts } from '../worker/messages.js';
import { countProgress } from './count-progress.js';
import { EventLog } from './events.js';
import {
  hasEnded,
  JOB_STATES,
  type JobRecord,
  type JobRequest,
  type JobSource,
  type JobState,
  moved,
} from './job.js';
import { type UnreadableJob, unreadable } from './record.js';
import { JobResults } from './results.js';
import { JobRunner } from './runner.js';
import type { JobStore, StoredJobs } from './store.js';

export interface JobsOptions {
  readonly store: JobStore;
  readonly worker: WorkerClient;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Jobs in the worker at a time, of interactive ones and of others; their tiles share batches. */
  readonly concurrency: number;
  /** Jobs that have not ended, and requests that upload one, at most. */
  readonly limit: number;
  /** How long a job that has ended is kept. */
  readonly keepMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** What a request brings to make a job of. */
export interface NewJob {
  readonly id: string;
  readonly request: JobRequest;
  readonly source: JobSource;
  readonly priority: Priority;
  readonly facts: JobFacts;
  readonly idempotency: JobRecord['idempotency'];
  /** Whether the job ends with the request that waits for it: it is not written down. */
  readonly awaited: boolean;
}

interface Entry {
  record: JobRecord;
  readonly awaited: boolean;
  readonly events: EventLog;
  readonly stop: AbortController;
  progress: Progress | null;
  /** When this server began to compute it, and how many px it has computed since. */
  startedMs: number;
  /** Resolves when the job has ended, or is put back because the server stops. */
  done: Promise<void>;
}

/** Why a job stops: its client does not want it any more, or the server stops and it goes on later. */
type Stop = 'cancelled' | 'later';

/** Progress is told to listeners so often at most. */
const PROGRESS_MS = 250;
const SWEEP_MS = 60_000;

/** The server's jobs: those that wait and run, and those that have ended and are kept for a while. */
export class Jobs {
  readonly #entries = new Map<string, Entry>();
  /** On the disk, and left alone: what they were cannot be read. */
  readonly #unreadable = new Map<string, UnreadableJob>();
  readonly results: JobResults;
  readonly #runner: JobRunner;
  readonly #sweep: NodeJS.Timeout;
  #admitted = 0;
  #closing = false;

  constructor(
    private readonly options: JobsOptions,
    stored: Pick<StoredJobs, 'records' | 'unreadable'>,
  ) {
    for (const job of stored.unreadable) {
      options.log.error(
        { job: job.id, reason: job.reason },
        'a job cannot be read: its folder is left as it is',
      );
      this.#unreadable.set(job.id, job);
    }
    this.results = new JobResults(options.store, options.worker);
    this.#runner = new JobRunner(options.worker, options.concurrency);
    const byAge = [...stored.records].sort((a, b) => a.createdAt.localeCompare(b.createdAt));
    for (const last of byAge) {
      // What ran when its server ended waits again, and goes on where its journal ends.
      const record = last.state === 'running' ? moved(last, 'queued') : last;
      const entry = this.#enter(record, false);
      if (!hasEnded(record)) entry.done = this.#execute(entry);
    }
    const sweep = () =>
      void this.expire().catch((err: unknown) => options.log.error({ err }, 'expiry failed'));
    sweep();
    this.#sweep = setInterval(sweep, SWEEP_MS).unref();
    this.#gauge();
  }

  /**
   * Takes a place; the function returned gives it back, when the job is made or the request has failed.
   * @throws RequestError `busy` where none is free
   */
  admit(): () => void {
    const unfinished = [...this.#entries.values()].filter(({ record }) => !hasEnded(record)).length;
    if (this.#admitted + unfinished >= this.options.limit) {
      throw new RequestError(
        'busy',
        `${this.#admitted + unfinished} jobs are in the server, as many as it takes`,
      );
    }
    this.#admitted++;
    let held = true;
    return () => {
      if (held) this.#admitted--;
      held = false;
    };
  }

  observe(stage: Stage, durationMs: number): void {
    this.options.metrics.stageDuration.observe({ stage }, durationMs / 1000);
  }

  /** What is known of a job from its image's header. */
  plan(spec: PlanSpec): Promise<JobFacts> {
    return this.options.worker.call('plan', spec);
  }

  /** How long a job's tiles would take, in seconds, by running one of them. */
  estimate(spec: PlanSpec): Promise<number> {
    return this.options.worker.call('estimate', spec);
  }

  /** Makes a job of what is in its folder, and has it run. Resolves when it is written down. */
  async submit({ id, request, source, priority, facts, idempotency, awaited }: NewJob): Promise<JobRecord> {
    const record: JobRecord = {
      ...{ id, state: 'queued', priority, source, request, idempotency },
      ...{
        image: facts.image,
        plan: facts.plan,
        createdAt: this.#isoNow(),
        startedAt: null,
        finishedAt: null,
      },
      ...{ progress: null, receipt: null, error: null, restarts: 0, strikes: 0 },
    };
    if (!awaited) await this.options.store.add(record);
    const entry = this.#enter(record, awaited);
    entry.events.add('state', { state: record.state });
    entry.done = this.#execute(entry);
    this.#gauge();
    return record;
  }

  /** @throws RequestError `not-found` */
  get(id: string): JobRecord {
    return this.#entry(id).record;
  }

  /** The job that a key was used for, if it is still kept. */
  withKey(key: string): JobRecord | null {
    for (const { record } of this.#entries.values()) if (record.idempotency?.key === key) return record;
    return null;
  }

  /** How far a job is, how fast, and how long it will take: what changes while it runs. */
  live(id: string): {
    progress: Progress | null;
    pixelsPerSecond: number | null;
    secondsLeft: number | null;
  } {
    const { record, progress, startedMs } = this.#entry(id);
    const now = progress ?? record.progress;
    if (record.state !== 'running' || !now || now.pixelsComputed === 0) {
      return { progress: now, pixelsPerSecond: null, secondsLeft: null };
    }
    const pixelsPerSecond = now.pixelsComputed / ((this.options.now() - startedMs) / 1000);
    const secondsLeft = (now.pixels - now.pixelsDone) / pixelsPerSecond;
    return {
      progress: now,
      pixelsPerSecond: Math.round(pixelsPerSecond),
      secondsLeft: Math.ceil(secondsLeft),
    };
  }

  /** Jobs that clients may see, the newest first. */
  list(state?: JobState): JobRecord[] {
    return [...this.#entries.values()]
      .filter(({ awaited, record }) => !awaited && (state === undefined || record.state === state))
      .map(({ record }) => record)
      .reverse();
  }

  events(id: string): EventLog {
    return this.#entry(id).events;
  }

  /** Resolves when the job has ended. */
  async wait(id: string): Promise<JobRecord> {
    const entry = this.#entry(id);
    await entry.done;
    return entry.record;
  }

  /** Ends a job that waits or runs; resolves when nothing of it is left on the disk but its record. */
  async cancel(id: string): Promise<JobRecord> {
    const entry = this.#entry(id);
    entry.stop.abort('cancelled' satisfies Stop);
    await entry.done;
    return entry.record;
  }

  /** Jobs whose records cannot be read, with the reason. */
  unreadable(): UnreadableJob[] {
    return [...this.#unreadable.values()];
  }

  isUnreadable(id: string): boolean {
    return this.#unreadable.has(id);
  }

  /** Forgets a job that has ended, or that cannot be read, with all that it has on the disk. */
  async remove(id: string): Promise<void> {
    if (!this.#unreadable.delete(id)) this.#entry(id);
    this.#entries.delete(id);
    await this.results.forget(id);
    await this.options.store.remove(id);
    this.#gauge();
  }

  /** To be called when the worker has ended, before its jobs learn of it. */
  workerLost(): void {
    this.#runner.workerLost();
    for (const entry of this.#entries.values()) {
      if (entry.record.state !== 'running') continue;
      entry.record = { ...entry.record, restarts: entry.record.restarts + 1 };
      entry.events.add('state', { state: 'running', restarts: entry.record.restarts });
    }
  }

  /** Removes the jobs that ended long ago. */
  async expire(): Promise<void> {
    const { keepMs, now } = this.options;
    for (const { record } of [...this.#entries.values()]) {
      if (record.finishedAt !== null && now() - Date.parse(record.finishedAt) >= keepMs)
        await this.remove(record.id);
    }
  }

  /** Stops: awaited jobs end, others are put back, to go on when the next server starts. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#sweep);
    for (const { awaited, record, stop } of this.#entries.values()) {
      if (!awaited && !hasEnded(record)) stop.abort('later' satisfies Stop);
    }
    await Promise.all([...this.#entries.values()].map(({ done }) => done));
    for (const { events } of this.#entries.values()) events.end();
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id);
    const lost = this.#unreadable.get(id);
    if (lost) throw unreadable(`job ${id} is on the disk, but ${lost.reason}`);
    if (!entry) throw new RequestError('not-found', `there is no job ${id}`);
    return entry;
  }

  #enter(record: JobRecord, awaited: boolean): Entry {
    const entry: Entry = {
      ...{ record, awaited, events: new EventLog(), stop: new AbortController() },
      ...{ progress: null, startedMs: 0, done: Promise.resolve() },
    };
    this.#entries.set(record.id, entry);
    return entry;
  }

  /** Has a job run to its end, whatever that is. Never rejects. */
  async #execute(entry: Entry): Promise<void> {
    const { log } = this.options;
    const { signal } = entry.stop;
    let told = 0;
    try {
      const receipt = await this.#runner.run(
        this.results.specOf(entry.record),
        entry.record.priority,
        signal,
        {
          onStage: (stage, ms) => this.observe(stage, ms),
          onProgress: (progress) => {
            countProgress(this.options.metrics, entry.record, entry.progress, progress);
            entry.progress = progress;
            const now = this.options.now();
            if (now - told < PROGRESS_MS && progress.tilesDone < progress.tiles) return;
            told = now;
            entry.events.add('progress', this.live(entry.record.id));
          },
        },
        async () => {
          entry.startedMs = this.options.now();
          await this.#move(entry, 'running', { startedAt: entry.record.startedAt ?? this.#isoNow() });
        },
      );
      if (!entry.awaited) await this.results.settle(entry.record);
      await this.#end(entry, 'succeeded', { receipt });
    } catch (error) {
      if (signal.reason === ('later' satisfies Stop) || (this.#closing && error instanceof EngineLostError)) {
        if (entry.record.state === 'running') await this.#move(entry, 'queued').catch(() => undefined);
        return;
      }
      if (signal.aborted) {
        await this.#end(entry, 'cancelled', {});
        return;
      }
      const code = codeOf(error);
      log.error({ err: error, job: entry.record.id }, 'job failed');
      await this.#end(entry, 'failed', { error: { code, detail: detailOf(error) } });
    }
  }

  /** Ends a job: that is written down, and what it needed is removed; its image and its results stay where it has succeeded. */
  async #end(entry: Entry, state: JobState, changes: Partial<JobRecord>): Promise<void> {
    const { store, log } = this.options;
    const ended = moved(entry.record, state, {
      ...changes,
      finishedAt: this.#isoNow(),
      progress: entry.progress,
    });
    try {
      if (state !== 'succeeded') await this.results.forget(ended.id);
      await (entry.awaited ? store.clear(ended) : store.end(ended));
    } catch (err) {
      log.error({ err, job: entry.record.id }, 'the end of a job could not be written down');
    }
    entry.record = ended;
    entry.events.add('state', { state });
    this.#gauge();
  }

  async #move(entry: Entry, state: JobState, changes: Partial<JobRecord> = {}): Promise<void> {
    const next = moved(entry.record, state, { ...changes, progress: entry.progress });
    if (!entry.awaited) await this.options.store.write(next);
    entry.record = next;
    entry.events.add('state', { state });
    this.#gauge();
  }

  #gauge(): void {
    const { metrics } = this.options;
    for (const state of JOB_STATES) {
      const count = [...this.#entries.values()].filter(({ record }) => record.state === state).length;
      metrics.jobs.set({ state }, count);
    }
    metrics.jobs.set({ state: 'unreadable' }, this.#unreadable.size);
    for (const priority of PRIORITIES)
      metrics.queueDepth.set({ class: priority }, this.#runner.waiting(priority));
  }

  #isoNow(): string {
    return new Date(this.options.now()).toISOString();
  }
}
