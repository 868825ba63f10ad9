import type { Logger } from 'pino';
import { EngineLostError } from '../../model/errors.js';
import { readCard } from '../../model/model-files.js';
import { PRIORITIES, type Priority } from '../../model/scheduler.js';
import type { ModelShelf } from '../../model/shelf.js';
import { RequestError } from '../contract/errors.js';
import type { ImageHeader } from '../contract/image-header.js';
import type { JobProgress, PlanSpec } from '../contract/job-spec.js';
import { codeOf, detailOf } from '../contract/problems.js';
import type { Stage } from '../contract/stages.js';
import type { Metrics } from '../metrics.js';
import type { Readers } from '../readers/readers.js';
import { delay } from '../storage/delay.js';
import { roomOf } from '../storage/free-space.js';
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
import { isPassing, Patience, RECOVERY, type RecoveryTimes } from './recovery.js';
import { JobResults } from './results.js';
import { JobRunner, type StrikeBook } from './runner.js';
import type { JobStore, StoredJobs } from './store.js';
import type { Live, Retry } from './view.js';

export interface JobsOptions {
  readonly store: JobStore;
  readonly worker: Pick<WorkerClient, 'run' | 'call' | 'hold'>;
  readonly readers: Pick<Readers, 'header' | 'tile' | 'derive' | 'forget'>;
  readonly shelf: ModelShelf;
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
  /** Default `RECOVERY`. */
  readonly recovery?: RecoveryTimes | undefined;
  /** Resolves after so many ms, or when the signal aborts. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
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
  /** Whether a server ended, without being told to, while it ran. */
  readonly isSuspect: boolean;
  readonly events: EventLog;
  readonly stop: AbortController;
  /** Of a paused job: `wake` ends the pause, `over` resolves when it has ended. */
  pause: { readonly wake: AbortController; readonly over: Promise<void> } | null;
  /** Of a job between two tries. */
  retry: Retry | null;
  progress: JobProgress | null;
  /** When this server began to compute it, and how many px it has computed since. */
  startedMs: number;
  /** Resolves when the job has ended, or is put back because the server stops. */
  done: Promise<void>;
}

/** Why a job stops: its client does not want it any more, or the server stops and it goes on later. */
type Stop = 'cancelled' | 'later';

/** JobProgress is told to listeners so often at most. */
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
    this.results = new JobResults(options.store, options.worker, options.readers, options.shelf);
    this.#runner = new JobRunner(options.worker, options.concurrency);
    const byAge = [...stored.records].sort((a, b) => a.createdAt.localeCompare(b.createdAt));
    for (const last of byAge) {
      // What ran when its server ended waits again, and goes on where its journal ends.
      const record = last.state === 'running' ? moved(last, 'queued') : last;
      const entry = this.#enter(record, false, last.state === 'running');
      if (!hasEnded(record)) entry.done = this.#execute(entry);
    }
    const sweep = () =>
      void this.expire().catch((err: unknown) => options.log.error({ err }, 'expiry failed'));
    sweep();
    this.#sweep = setInterval(sweep, SWEEP_MS).unref();
    this.#gauge();
  }

  /**
   * Has a place for the time of `work`, which makes a job or fails.
   *
   * @param received whether its image has been received: what cost its client an hour is not turned away.
   *   Those that are received at a time are as many as jobs may be.
   * @throws RequestError `busy` where none is free
   */
  async withPlace<Result>(work: () => Promise<Result>, received = false): Promise<Result> {
    this.checkPlace(received ? this.options.limit : 0);
    this.#admitted++;
    try {
      return await work();
    } finally {
      this.#admitted--;
    }
  }

  /** Throws `busy` where a job would find no place: to be asked before an image is received. */
  checkPlace(beyond = 0): void {
    // Paused jobs take no place until they are as many as all others may be: a source that is away for a
    // day does not keep others from their work, and their number is bounded all the same.
    const records = [...this.#entries.values()].map(({ record }) => record);
    const paused = records.filter(({ state }) => state === 'paused').length;
    const active = records.filter((record) => !hasEnded(record)).length - paused;
    const taken = this.#admitted + active + Math.max(0, paused - this.options.limit);
    if (taken >= this.options.limit + beyond) {
      throw new RequestError('busy', `${taken} jobs are in the server, as many as it takes`);
    }
  }

  observe(stage: Stage, durationMs: number): void {
    this.options.metrics.stageDuration.observe({ stage }, durationMs / 1000);
  }

  /** What is known of a job from its image's header, which is read apart from what runs. */
  async plan(spec: PlanSpec): Promise<JobFacts> {
    return this.options.worker.call('plan', spec, await this.#header(spec));
  }

  /** The same, with how long its tiles would take, in seconds, by running one of them, and who goes before it. */
  async planWithTime(spec: PlanSpec, priority: Priority) {
    const { worker } = this.options;
    const header = await this.#header(spec);
    const plan = await worker.call('plan', spec, header);
    const seconds = await worker.call('estimate', spec, header);
    const jobsBefore = this.#runner.before(priority);
    return { ...plan, priority, expected: { ...plan.expected, seconds, jobsBefore } };
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
      ...{ progress: null, receipt: null, error: null, pause: null, restarts: 0, strikes: 0 },
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

  /** Whether a job ends with the request that waits for it. */
  isAwaited(id: string): boolean {
    return this.#entry(id).awaited;
  }

  /** The job that a key was used for, if it is still kept. */
  withKey(key: string): JobRecord | null {
    for (const { record } of this.#entries.values()) if (record.idempotency?.key === key) return record;
    return null;
  }

  /** How far a job is, how fast, and how long it will take: what changes while it runs. */
  live(id: string): Live {
    const { record, progress, startedMs, retry } = this.#entry(id);
    const now = progress ?? record.progress;
    if (record.state !== 'running' || !now || now.pixelsComputed === 0) {
      return { progress: now, pixelsPerSecond: null, secondsLeft: null, retry };
    }
    const pixelsPerSecond = now.pixelsComputed / ((this.options.now() - startedMs) / 1000);
    const secondsLeft = (now.pixels - now.pixelsDone) / pixelsPerSecond;
    return {
      progress: now,
      pixelsPerSecond: Math.round(pixelsPerSecond),
      secondsLeft: Math.ceil(secondsLeft),
      retry,
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

  /**
   * Has a paused job go on now; resolves when it waits for its place.
   * @throws RequestError `conflict` for a job in another state
   */
  async resume(id: string): Promise<JobRecord> {
    const entry = this.#entry(id);
    if (entry.pause === null) {
      throw new RequestError(
        'conflict',
        `the job is ${entry.record.state}: only a paused one can be resumed`,
      );
    }
    entry.pause.wake.abort();
    await entry.pause.over;
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

  /** Removes the jobs that ended, or were paused, long ago. */
  async expire(): Promise<void> {
    const { keepMs, now } = this.options;
    for (const { record } of [...this.#entries.values()]) {
      const since = record.pause?.since ?? record.finishedAt;
      if (since === null || now() - Date.parse(since) < keepMs) continue;
      if (!hasEnded(record)) await this.cancel(record.id);
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

  async #header(spec: PlanSpec): Promise<ImageHeader> {
    const { readers, shelf } = this.options;
    return readers.header(spec, await readCard((await shelf.find(spec.model)).folder));
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id);
    const lost = this.#unreadable.get(id);
    if (lost) throw unreadable(`job ${id} is on the disk, but ${lost.reason}`);
    if (!entry) throw new RequestError('not-found', `there is no job ${id}`);
    return entry;
  }

  #enter(record: JobRecord, awaited: boolean, isSuspect = false): Entry {
    const entry: Entry = {
      ...{ record, awaited, isSuspect, events: new EventLog(), stop: new AbortController() },
      ...{ pause: null, retry: null },
      ...{ progress: null, startedMs: 0, done: Promise.resolve() },
    };
    this.#entries.set(record.id, entry);
    return entry;
  }

  /** Has a job run to its end, whatever that is, through retries and pauses. Never rejects. */
  async #execute(entry: Entry): Promise<void> {
    const { recovery = RECOVERY, wait = delay } = this.options;
    const patience = new Patience(recovery);
    const { signal } = entry.stop;
    for (;;) {
      if (entry.record.state === 'paused' && !signal.aborted) await this.#waitOut(entry, patience);
      const failure = await this.#attempt(entry);
      if (failure === null) return;
      const ms = patience.next(entry.progress?.tilesDone ?? 0);
      if (ms !== null) {
        entry.retry = { ...failure, at: this.#isoNow(ms) };
        if (entry.record.state === 'running') await this.#move(entry, 'queued');
        else entry.events.add('state', { state: 'queued' });
        await wait(ms, signal);
        entry.retry = null;
      } else {
        await this.#move(entry, 'paused', { pause: { ...failure, since: this.#isoNow() } });
        this.options.metrics.jobPauses.inc({ code: failure.code });
      }
    }
  }

  /** Holds a paused job until its reason is gone, it is resumed by hand, or it stops. */
  async #waitOut(entry: Entry, patience: Patience): Promise<void> {
    const { wait = delay } = this.options;
    const wake = new AbortController();
    const signal = AbortSignal.any([entry.stop.signal, wake.signal]);
    let leave = () => {};
    entry.pause = { wake, over: new Promise((resolve) => (leave = resolve)) };
    // A job that fails gives room back, which is not enough: that much more is waited for. What was freed
    // while no server ran counts, too.
    const { store } = this.options;
    const room = patience.isNew ? null : await roomOf(store.root).catch(() => null);
    do await wait(patience.probe(), signal);
    while (!signal.aborted && !(await orAborted(this.#isGone(entry.record, room?.free ?? 0), signal)));
    if (!entry.stop.signal.aborted) await this.#move(entry, 'queued');
    entry.pause = null;
    leave();
  }

  /**
   * Whether the reason of a pause is gone, as far as can be told without the job itself.
   * @param freeBytes of the disk when the pause began
   */
  async #isGone(record: JobRecord, freeBytes: number): Promise<boolean> {
    switch (record.pause?.code) {
      case 'disk-full': {
        const { free, lowWater } = await roomOf(this.options.store.root);
        return free >= freeBytes + lowWater;
      }
      case 'source-unreachable':
        // Any other answer is for the job itself to find.
        return this.plan(this.results.specOf(record)).then(
          () => true,
          (error: unknown) => codeOf(error) !== 'source-unreachable',
        );
      default:
        return true;
    }
  }

  /**
   * Has a job run once.
   * @returns null where it has ended, or goes on when the next server starts; why it failed, where that passes
   */
  async #attempt(entry: Entry): Promise<JobRecord['error']> {
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
            // Opening the image, what comes from the journal, and earlier workers, say nothing of the speed.
            if (progress.pixelsComputed === 0) entry.startedMs = now;
            if (now - told < PROGRESS_MS && progress.tilesDone < progress.tiles) return;
            told = now;
            entry.events.add('progress', this.live(entry.record.id));
          },
          onWorkerLost: () => {
            const restarts = entry.record.restarts + 1;
            entry.record = { ...entry.record, restarts };
            entry.events.add('state', { state: 'running', restarts });
          },
        },
        async () => {
          entry.startedMs = this.options.now();
          await this.#move(entry, 'running', { startedAt: entry.record.startedAt ?? this.#isoNow() });
        },
        this.#strikesOf(entry),
      );
      if (!entry.awaited) await this.results.settle(entry.record);
      await this.#end(entry, 'succeeded', { receipt });
      return null;
    } catch (error) {
      if (signal.reason === ('later' satisfies Stop) || (this.#closing && error instanceof EngineLostError)) {
        if (entry.record.state === 'running') await this.#move(entry, 'queued');
        return null;
      }
      if (signal.aborted) {
        await this.#end(entry, 'cancelled', {});
        return null;
      }
      const failure = { code: codeOf(error), detail: detailOf(error) };
      if (isPassing(failure.code) && !entry.awaited) {
        log.warn({ err: error, job: entry.record.id }, 'job interrupted');
        return failure;
      }
      log.error({ err: error, job: entry.record.id }, 'job failed');
      await this.#end(entry, 'failed', { error: failure });
      return null;
    }
  }

  /** What is held against a job, in its record. */
  #strikesOf(entry: Entry): StrikeBook {
    const { store, log } = this.options;
    return {
      get strikes() {
        return entry.record.strikes;
      },
      isSuspect: entry.isSuspect,
      save: async (strikes) => {
        entry.record = { ...entry.record, strikes };
        if (entry.awaited || entry.record.state !== 'running') return;
        await store.write(entry.record).catch((err: unknown) => {
          log.error({ err, job: entry.record.id }, 'what is held against a job could not be written down');
        });
      },
    };
  }

  /** Ends a job: that is written down, and what it needed is removed; its image and its results stay where it has succeeded. */
  async #end(entry: Entry, state: JobState, changes: Partial<JobRecord>): Promise<void> {
    const { store, log } = this.options;
    const ended = moved(entry.record, state, {
      pause: null,
      ...changes,
      finishedAt: this.#isoNow(),
      progress: entry.progress ?? entry.record.progress,
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

  /**
   * Writes down another state. A job that is put back, or paused, is so even where that cannot be written:
   * the disk may be the very reason, and the last record, of a job that runs, leads to the same.
   */
  async #move(entry: Entry, state: JobState, changes: Partial<JobRecord> = {}): Promise<void> {
    const { store, log } = this.options;
    const progress = entry.progress ?? entry.record.progress;
    const next = moved(entry.record, state, { pause: null, ...changes, progress });
    if (!entry.awaited) {
      await store.write(next).catch((err: unknown) => {
        if (state === 'running') throw err;
        log.warn({ err, job: next.id }, `that the job is ${state} could not be written down`);
      });
    }
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

  #isoNow(laterMs = 0): string {
    return new Date(this.options.now() + laterMs).toISOString();
  }
}

/** What `work` resolves to; false as soon as `signal` aborts, and where it fails. */
function orAborted(work: Promise<boolean>, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const leave = () => resolve(false);
    signal.addEventListener('abort', leave, { once: true });
    void work
      .catch(() => false)
      .then((value) => {
        signal.removeEventListener('abort', leave);
        resolve(value);
      });
  });
}
