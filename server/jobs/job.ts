import type { Priority } from '../../model/scheduler.js';
import type { JobProgress, WorkSpec } from '../contract/job-spec.js';
import type { Format, Output } from '../contract/outputs.js';
import type { Receipt } from '../contract/receipt.js';

export const JOB_STATES = ['queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled'] as const;
export type JobState = (typeof JOB_STATES)[number];

/**
 * Which states may follow a state. A server that stops puts what runs back into the queue. A job is paused
 * when it failed for a reason that passes, and waits again when that is gone.
 */
const FOLLOWING: Readonly<Record<JobState, readonly JobState[]>> = {
  queued: ['running', 'paused', 'failed', 'cancelled'],
  running: ['queued', 'paused', 'succeeded', 'failed', 'cancelled'],
  paused: ['queued', 'cancelled'],
  succeeded: [],
  failed: [],
  cancelled: [],
};

/** What is to be done with an image. */
export interface JobRequest extends WorkSpec {
  /** `NAME/VERSION`: a version that appears later does not change a job that waits. */
  readonly model: string;
  readonly outputs: readonly { readonly output: Output; readonly format: Format }[];
  /** How far simplified contours may be from the pixels' sides, in px. */
  readonly simplify: number;
}

/** Where a job's image is: uploaded into the job's folder, or read where it lies. */
export type JobSource =
  | { readonly kind: 'upload'; readonly name: string | null; readonly bytes: number }
  | {
      readonly kind: 'path';
      readonly path: string;
      /** As the request named it, below the folder of slides. */
      readonly name: string;
    }
  | { readonly kind: 'url'; readonly url: string };

/** A receipt that was written down, perhaps by an earlier version: what is read of it, and all that it said. */
export type RecordedReceipt = Pick<Receipt, 'model' | 'exact' | 'stagesMs'>;

/** Everything of a job that outlives the server, and is in its `job.json`. */
export interface JobRecord {
  readonly id: string;
  readonly state: JobState;
  readonly priority: Priority;
  readonly source: JobSource;
  readonly request: JobRequest;
  readonly image: Receipt['image'];
  readonly plan: Receipt['plan'];
  /** Times in ISO 8601, UTC. */
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  /** What was done when it ended, or when the server stopped. */
  readonly progress: JobProgress | null;
  readonly receipt: RecordedReceipt | null;
  readonly error: { readonly code: string; readonly detail: string } | null;
  /** Why a paused job waits, and since when; null in any other state. */
  readonly pause: { readonly code: string; readonly detail: string; readonly since: string } | null;
  /** Times that a worker ended with this job in it. */
  readonly restarts: number;
  /** Workers and servers that ended with this job alone in them, since it last got further. */
  readonly strikes: number;
  readonly idempotency: { readonly key: string; readonly digest: string } | null;
}

/**
 * A job in another state.
 * @throws Error for a state that may not follow: a bug, never a client's fault
 */
export function moved(job: JobRecord, state: JobState, changes: Partial<JobRecord> = {}): JobRecord {
  if (!FOLLOWING[job.state].includes(state)) throw new Error(`job ${job.id}: ${job.state} to ${state}`);
  return { ...job, ...changes, state };
}

export const hasEnded = ({ state }: Pick<JobRecord, 'state'>): boolean => FOLLOWING[state].length === 0;
