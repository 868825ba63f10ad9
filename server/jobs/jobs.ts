import type { Logger } from 'pino';
import type { Priority } from '../../model/scheduler/priority.js';
import type { ModelShelf } from '../../model/shelf/shelf.js';
import { RequestError } from '../contract/errors.js';
import type { PlanSpec } from '../contract/job-spec.js';
import type { Output } from '../contract/outputs.js';
import type { JobState, Live } from '../contract/schemas/job.js';
import type { JobFacts } from '../contract/schemas/plan.js';
import type { Stage } from '../contract/stages.js';
import { type Exemplar, observe } from '../metrics/exemplars.js';
import type { Metrics } from '../metrics/metrics.js';
import type { Readers } from '../readers/readers.js';
import type { Tracer } from '../traces/tracer.js';
import type { WorkerClient } from '../worker/client.js';
import type { WorkerCalls } from '../worker/methods.js';
import {
  Admission,
  type AdmissionLimits,
  type AdmittedPlace,
  type Demand,
  type Occupancy,
} from './admission.js';
import { JobCollection } from './collection.js';
import type { EventLog } from './events.js';
import { filesOf } from './folder.js';
import type { JobRecord } from './job.js';
import { JobLife, type LifeOptions } from './job-life.js';
import { gaugeJobs, startCounting } from './job-metrics.js';
import { type NewJob, recordOf, reusedRecordOf } from './new-job.js';
import { JobPlanner } from './planner.js';
import type { UnreadableJob } from './record.js';
import { type EarlierResults, ResultCache } from './result-cache.js';
import type { ResultKeys } from './result-key.js';
import { JobResults } from './results.js';
import { JobRunner } from './runner.js';
import type { JobStore, StoredJobs } from './store.js';

export interface JobsOptions extends Pick<LifeOptions, 'recovery' | 'wait' | 'hidesNames'> {
  readonly store: JobStore;
  readonly worker: Pick<WorkerClient, 'run' | 'hold' | keyof WorkerCalls>;
  readonly readers: Pick<Readers, 'header' | 'tile' | 'derive' | 'evict'>;
  readonly shelf: ModelShelf;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Records jobs in traces. Default null: none. */
  readonly tracer?: Tracer | null;
  /** Interactive jobs that run at a time, and as many others; their tiles share batches. At least 1. */
  readonly concurrency: number;
  /** Limits of jobs that have not ended, together with requests that are about to submit one. */
  readonly limits: AdmissionLimits;
  /** By what later requests find the results of earlier ones; null if every request is computed. */
  readonly resultKeys: Pick<ResultKeys, 'of'> | null;
  /** Bytes of memory for the results of requests that wait for them; 0 for none. */
  readonly responseCacheBytes: number;
  /** How long a job stays available after it has ended, in ms. */
  readonly keepMs: number;
  /** Called with the id of each job that has expired. */
  readonly onExpired?: (id: string) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const EXPIRY_INTERVAL_MS = 60_000;

/**
 * The server's jobs, whoever owns them: those that are pending or running, and those that ended lately. Routes reach
 * the jobs that requests name by `VisibleJobs`.
 */
export class Jobs {
  readonly results: JobResults;
  /** Whether clients see no names of images. */
  readonly hidesNames: boolean;
  readonly cache: ResultCache;
  readonly #jobs: JobCollection;
  readonly #admission: Admission;
  readonly #planner: JobPlanner;
  readonly #runner: JobRunner;
  readonly #lifeOptions: LifeOptions;
  readonly #closing = new AbortController();
  readonly #expiryTimer: NodeJS.Timeout;

  constructor(
    private readonly options: JobsOptions,
    { records, unreadable }: Pick<StoredJobs, 'records' | 'unreadable'>,
  ) {
    const { store, worker, readers, shelf, log } = options;
    for (const { id, reason } of unreadable)
      log.error({ job: id, reason }, 'cannot read a job; its folder is left untouched');
    startCounting(options.metrics);
    this.hidesNames = options.hidesNames ?? false;
    this.results = new JobResults(store, worker, readers, shelf, this.hidesNames);
    this.#jobs = new JobCollection(unreadable);
    this.#admission = new Admission(options.limits, (counts) => this.#jobs.occupancy(counts));
    this.#planner = new JobPlanner(worker, readers, shelf);
    this.#runner = new JobRunner(worker, options.concurrency);
    this.cache = new ResultCache({ ...options, findJob: (key) => this.#jobs.findResults(key) });
    this.#lifeOptions = {
      store,
      runner: this.#runner,
      planner: this.#planner,
      metrics: options.metrics,
      log,
      now: options.now,
      recovery: options.recovery,
      wait: options.wait,
      hidesNames: options.hidesNames,
      closing: this.#closing.signal,
      syncResults: (record) => this.results.sync(record),
      closeFiles: (id) => this.results.closeFiles(id),
      cacheResults: (record, receipt, isAwaited) => this.cache.add(record, receipt, isAwaited),
      tracer: options.tracer ?? null,
    };
    const oldestFirst = [...records].sort((a, b) => a.createdAt.localeCompare(b.createdAt));
    for (const record of oldestFirst) this.#jobs.add(JobLife.recover(record, this.#lifeOptions));
    const expire = () =>
      void this.expire().catch((err: unknown) => log.error({ err }, 'cannot remove expired jobs'));
    expire();
    this.#expiryTimer = setInterval(expire, EXPIRY_INTERVAL_MS).unref();
  }

  /** See `Admission.withPlace`. */
  withPlace<Result>(
    demand: Demand,
    work: (place: AdmittedPlace) => Promise<Result>,
    isReceived = false,
  ): Promise<Result> {
    return this.#admission.withPlace(demand, work, isReceived);
  }

  /**
   * @throws RequestError `busy`, `too-many-jobs` if a job would find no place: for routes to call before they receive
   *   an image
   */
  checkPlace(demand: Demand): void {
    this.#admission.check(demand);
  }

  /** Observes a stage of a job before it is submitted. */
  observeStage(stage: Stage, durationMs: number, exemplar: Exemplar): void {
    observe(this.options.metrics.stageDuration, { stage }, durationMs / 1000, exemplar);
  }

  /** Counts bytes of a result that were sent. */
  countSent(output: Output, bytes: number): void {
    this.options.metrics.resultBytes.inc({ output }, bytes);
  }

  /** Sets the gauges of jobs. */
  gauge(): void {
    gaugeJobs(this.options.metrics, this.#jobs.counts(), this.#runner);
  }

  /** The jobs that have not ended, of one owner, or of all. */
  occupancy(owner?: string): Occupancy {
    return this.#jobs.occupancy((job) => owner === undefined || job.owner === owner);
  }

  /** Plans a job from its image's header. */
  plan(spec: PlanSpec): Promise<JobFacts> {
    return this.#planner.plan(spec);
  }

  /** Plans a job, and estimates its time in seconds and how many jobs of which priority run before it. */
  async planWithTime(spec: PlanSpec, priority: Priority) {
    const { plan, seconds } = await this.#planner.planWithTime(spec);
    const jobsBefore = this.#runner.before(priority);
    return { ...plan, priority, expected: { ...plan.expected, seconds, jobsBefore } };
  }

  /**
   * Makes a job of the folder that the store created for it, and starts it. Resolves once it is on the disk.
   * @param takeImage moves its image into the folder, if it is elsewhere; not called for a job that is refused
   * @throws RequestError `too-many-pixels`, `disk-full`, `quota-exceeded`
   */
  async submit(job: NewJob, takeImage: () => Promise<void>): Promise<JobRecord> {
    const record = recordOf(job, new Date(this.options.now()));
    const { width, height } = record.image;
    await this.#admission.withPixels(record.owner, width * height, async () => {
      this.options.store.claim(record, job.facts.expected.diskBytes);
      await takeImage();
      if (!job.isAwaited) await this.options.store.add(record);
      this.#jobs.add(JobLife.begin(record, job.isAwaited, job.span ?? null, this.#lifeOptions));
    });
    return record;
  }

  /**
   * Makes a job of the folder that the store created for it, with the results of an earlier one: it has succeeded.
   * @param takeImage see `submit`
   * @returns null if a file of those results is gone or was changed; its image is there then
   * @throws RequestError `disk-full`, `quota-exceeded`
   */
  async reuse(
    job: Omit<NewJob, 'facts'>,
    earlier: EarlierResults,
    takeImage: () => Promise<void>,
  ): Promise<JobRecord | null> {
    const { store, now } = this.options;
    store.claim(job, earlier.bytes);
    await takeImage();
    if (!(await earlier.place(store.folder(job.id)))) {
      store.claim(job, -earlier.bytes);
      return null;
    }
    let record = reusedRecordOf(job, earlier, new Date(now()));
    if (!job.isAwaited) {
      await this.results.sync(record);
      record = { ...record, cache: await this.cache.add(record, earlier.receipt, false) };
      await store.add(record);
      await store.measure(record);
    }
    this.#jobs.add(JobLife.ended(record, job.isAwaited, this.#lifeOptions));
    return record;
  }

  /** @throws RequestError `not-found`, `unreadable-record`, as all methods that take an id */
  get(id: string): JobRecord {
    return this.#jobs.get(id).job.record;
  }

  /** Whether a job ends with the request that submitted it. */
  isAwaited(id: string): boolean {
    return this.#jobs.get(id).job.isAwaited;
  }

  /** The job that its owner submitted with this idempotency key; null when there is none. */
  findByKey(key: string, owner: string): JobRecord | null {
    return this.#jobs.findByKey(key, owner);
  }

  /** How far a job is, how fast, and how long it will take: what changes while it runs. */
  live(id: string): Live {
    return this.#jobs.get(id).job.live;
  }

  /** The jobs that were submitted to be listed, the newest first. */
  list(state?: JobState): JobRecord[] {
    return this.#jobs.list(state);
  }

  events(id: string): EventLog {
    return this.#jobs.get(id).job.events;
  }

  /** Resolves when the job has ended. */
  async wait(id: string): Promise<JobRecord> {
    const { job, done } = this.#jobs.get(id);
    await done;
    return job.record;
  }

  /**
   * Resumes a paused job now; resolves when it is queued.
   * @throws RequestError `conflict` for a job in another state
   */
  async resume(id: string): Promise<JobRecord> {
    const life = this.#jobs.get(id);
    if (!(await life.resume())) {
      const { state } = life.job.record;
      throw new RequestError('conflict', `the job is ${state}: only a paused one can be resumed`);
    }
    return life.job.record;
  }

  /** Cancels a job that has not ended; resolves when nothing of it remains on the disk but its record. */
  async cancel(id: string): Promise<JobRecord> {
    const life = this.#jobs.get(id);
    await life.cancel();
    return life.job.record;
  }

  /** Jobs whose records cannot be read, with the reason. */
  unreadable(): UnreadableJob[] {
    return this.#jobs.unreadable();
  }

  isUnreadable(id: string): boolean {
    return this.#jobs.isUnreadable(id);
  }

  /** Removes a job that has ended, or that cannot be read, with all of its files. */
  async remove(id: string): Promise<void> {
    const job = this.#jobs.delete(id)?.job;
    if (job && !job.isAwaited && job.record.cache) this.cache.forget(job.record.cache.key);
    // One that is awaited never wrote its record: these are all of its files.
    const isKnown = job?.isAwaited && job.record.state === 'succeeded';
    const files = isKnown ? filesOf(job.record) : undefined;
    await this.results.withdraw(id, () => this.options.store.remove(id, files));
  }

  /** Removes the jobs that ended, or were paused, longer than `keepMs` ago. */
  async expire(): Promise<void> {
    const { keepMs, now } = this.options;
    for (const { job } of this.#jobs.all()) {
      const { idleSince } = job;
      if (idleSince === null || now() - idleSince < keepMs) continue;
      const { id } = job.record;
      if (!job.hasEnded) await this.cancel(id);
      await this.remove(id);
      this.options.onExpired?.(id);
    }
  }

  /** Closes: awaited jobs run to their end, all others are queued for the next server. */
  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#expiryTimer);
    const lives = this.#jobs.all();
    for (const life of lives) if (!life.job.isAwaited && !life.job.hasEnded) life.requeue();
    await Promise.all(lives.map(({ done }) => done));
    for (const { job } of this.#jobs.all()) job.events.end();
  }
}
