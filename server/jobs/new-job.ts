import type { Priority } from '../../model/scheduler/priority.js';
import type { JobFacts } from '../contract/schemas/plan.js';
import type { Span } from '../traces/tracer.js';
import type { JobRecord, JobRequest, JobSource } from './job.js';
import type { EarlierResults } from './result-cache.js';

/** What a request brings along to submit a job. */
export interface NewJob {
  readonly id: string;
  readonly owner: string;
  readonly request: JobRequest;
  readonly source: JobSource;
  readonly priority: Priority;
  readonly facts: JobFacts;
  readonly idempotency: JobRecord['idempotency'];
  /** See `ResultKeys`; null where later jobs may not have its results. */
  readonly resultKey: string | null;
  /** Whether the job ends with the request that submits it: it is never written to the store. */
  readonly isAwaited: boolean;
  /** Span of the request that submits it. Default null: its trace is not recorded. */
  readonly span?: Span | null;
}

/** The first record of a job: it is queued, and nothing has happened to it yet. */
export function recordOf(job: NewJob, createdAt: Date): JobRecord {
  const { id, owner, priority, source, request, facts, idempotency, resultKey } = job;
  return {
    id,
    owner,
    state: 'queued',
    priority,
    source,
    request,
    idempotency,
    image: facts.image,
    plan: facts.plan,
    expectedBytes: facts.expected.diskBytes,
    createdAt: createdAt.toISOString(),
    startedAt: null,
    finishedAt: null,
    progress: null,
    receipt: null,
    error: null,
    pause: null,
    restarts: 0,
    strikes: 0,
    // Of an image of several files, only the one that was named is known by its version.
    cache: resultKey === null || !facts.isOneFile ? null : { key: resultKey, files: null },
    cachedFrom: null,
  };
}

/** The record of a job that has the results of an earlier one: it has succeeded. */
export function reusedRecordOf(job: Omit<NewJob, 'facts'>, earlier: EarlierResults, now: Date): JobRecord {
  const { image, plan, progress, receipt, computedAt, job: cachedFrom } = earlier;
  const { id, owner, priority, source, request, idempotency, resultKey } = job;
  const time = now.toISOString();
  return {
    id,
    owner,
    state: 'succeeded',
    priority,
    source,
    request,
    idempotency,
    image,
    plan,
    expectedBytes: 0,
    createdAt: time,
    startedAt: time,
    finishedAt: time,
    progress,
    receipt: { ...receipt, cached: { computedAt } },
    error: null,
    pause: null,
    restarts: 0,
    strikes: 0,
    cache: resultKey === null ? null : { key: resultKey, files: null },
    cachedFrom,
  };
}
