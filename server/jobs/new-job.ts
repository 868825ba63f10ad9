import type { Priority } from '../../model/scheduler.js';
import type { JobFacts } from '../contract/job-facts.js';
import type { JobRecord, JobRequest, JobSource } from './job.js';

/** What a request brings along to submit a job. */
export interface NewJob {
  readonly id: string;
  readonly request: JobRequest;
  readonly source: JobSource;
  readonly priority: Priority;
  readonly facts: JobFacts;
  readonly idempotency: JobRecord['idempotency'];
  /** Whether the job ends with the request that submits it: it is never written to the store. */
  readonly isAwaited: boolean;
}

/** The first record of a job: it is queued, and nothing has happened to it yet. */
export function recordOf(job: NewJob, createdAt: Date): JobRecord {
  const { id, priority, source, request, facts, idempotency } = job;
  return {
    id,
    state: 'queued',
    priority,
    source,
    request,
    idempotency,
    image: facts.image,
    plan: facts.plan,
    createdAt: createdAt.toISOString(),
    startedAt: null,
    finishedAt: null,
    progress: null,
    receipt: null,
    error: null,
    pause: null,
    restarts: 0,
    strikes: 0,
  };
}
