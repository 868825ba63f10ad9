import type { Priority } from '../../model/scheduler/priority.js';
import type { WorkSpec } from '../contract/job-spec.js';
import type { Format, Output } from '../contract/outputs.js';
import type { Receipt } from '../contract/receipt.js';
import type { Failure, JobProgress, JobState } from '../contract/schemas/job.js';

/**
 * The states that may follow each state. A server that closes requeues running jobs. A job is paused when it
 * failed for a temporary cause, and queued again when that is gone.
 */
const NEXT_STATES: Readonly<Record<JobState, readonly JobState[]>> = {
  queued: ['running', 'paused', 'failed', 'cancelled'],
  running: ['queued', 'paused', 'succeeded', 'failed', 'cancelled'],
  paused: ['queued', 'cancelled'],
  succeeded: [],
  failed: [],
  cancelled: [],
};

/** What a client requested for an image. */
export interface JobRequest extends WorkSpec {
  /** `NAME/VERSION`, so that a newer version does not change a queued job. */
  readonly model: string;
  readonly outputs: readonly { readonly output: Output; readonly format: Format }[];
  /** How far simplified contours may be from the sides of pixels, in px; 0 does not simplify. */
  readonly simplify: number;
}

/** Where a job's image is: uploaded into the job's folder, or read in place. */
export type JobSource =
  | {
      readonly kind: 'upload';
      readonly name: string | null;
      readonly bytes: number;
      /** Of its bytes; null where not all of them came through one process. */
      readonly sha256: string | null;
    }
  | {
      readonly kind: 'path';
      readonly path: string;
      /** Relative to the folder of slides, as the request named it. */
      readonly name: string;
    }
  | { readonly kind: 'url'; readonly url: string };

/** A receipt read from a record, perhaps of an earlier version: the fields that the server reads, among all others. */
export type RecordedReceipt = Pick<Receipt, 'model' | 'exact' | 'repeatable' | 'stagesMs' | 'cached'> &
  Partial<Pick<Receipt, 'warnings'>>;

/** A file as it was written: another size or time tells that it was changed. */
export interface FileStamp {
  readonly bytes: number;
  /** In ms since 1970. */
  readonly modifiedMs: number;
}

/** Everything about a job that survives a restart of the server: its `job.json`. */
export interface JobRecord {
  readonly id: string;
  /** Owner of the job, `Principal.id`: only it and admins see the job, and its results are reused for it alone. */
  readonly owner: string;
  readonly state: JobState;
  readonly priority: Priority;
  readonly source: JobSource;
  readonly request: JobRequest;
  readonly image: Receipt['image'];
  readonly plan: Receipt['plan'];
  /** Maximum disk space of its results and its journal, in bytes, which is claimed until it has ended. */
  readonly expectedBytes: number;
  /** Times in ISO 8601, UTC. */
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  /** As of the last change of state. */
  readonly progress: JobProgress | null;
  readonly receipt: RecordedReceipt | null;
  readonly error: Failure | null;
  /** Why a paused job waits, and since when; null in any other state. */
  readonly pause: (Failure & { readonly since: string }) | null;
  /** Workers that crashed while they ran this job. */
  readonly restarts: number;
  /** Workers and servers that crashed while they ran this job alone, since it last finished a band. */
  readonly strikes: number;
  readonly idempotency: { readonly key: string; readonly digest: string } | null;
  /** By what later jobs find its results, and their files once it has succeeded; null where they do not. */
  readonly cache: {
    readonly key: string;
    readonly files: Readonly<Record<string, FileStamp>> | null;
  } | null;
  /** The job that computed its results, where that is an earlier one; it may be gone. */
  readonly cachedFrom: string | null;
}

/**
 * Returns the record of a job in another state.
 * @throws Error when that state may not follow: a bug, never a client's fault
 */
export function transition(job: JobRecord, state: JobState, changes: Partial<JobRecord> = {}): JobRecord {
  if (!NEXT_STATES[job.state].includes(state))
    throw new Error(`job ${job.id} cannot move from ${job.state} to ${state}`);
  return { ...job, ...changes, state };
}

/** Whether a job is in a state that no other follows. */
export const hasEnded = ({ state }: Pick<JobRecord, 'state'>): boolean => NEXT_STATES[state].length === 0;
