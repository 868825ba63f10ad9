import type { ImageHeader } from '../contract/image-header.js';
import type { JobProgress, JobSpec, PlanSpec } from '../contract/job-spec.js';
import type { Outcome } from '../contract/outcome.js';
import type { Receipt } from '../contract/receipt.js';
import type { Stage } from '../contract/stages.js';
import type { Segmenter, SegmenterOptions } from '../pipeline/segmenter.js';
import type { ImageLimits } from './read-limit.js';
import type { Beat } from './watchdog.js';

/** What a worker process is started with. */
export type WorkerOptions = Omit<SegmenterOptions, 'onBatch'>;

/** What a worker is asked besides its jobs, and answers. */
export interface WorkerCalls {
  plan(spec: PlanSpec, header: ImageHeader): Promise<JobFacts>;
  estimate(spec: PlanSpec, header: ImageHeader): Promise<number>;
  preview(id: string): Promise<Buffer | null>;
}

/** What is known of a job before it runs; see `Segmenter.plan`. */
export type JobFacts = Awaited<ReturnType<Segmenter['plan']>>;

export type CallName = keyof WorkerCalls;

export type ToWorker =
  | { readonly type: 'start'; readonly options: WorkerOptions; readonly beatMs: number }
  | { readonly type: 'run'; readonly job: JobSpec; readonly limits: ImageLimits }
  | { readonly type: 'cancel'; readonly id: string }
  | { readonly type: 'call'; readonly call: number; readonly name: CallName; readonly args: unknown[] }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'ready'; readonly device: string }
  | ({ readonly type: 'beat' } & Beat)
  /** Something in a job, or anywhere, does not come back: this process has to be ended. */
  | { readonly type: 'stuck'; readonly id: string; readonly why: string }
  | { readonly type: 'batch'; readonly tiles: number; readonly ranMs: number; readonly waiting: number }
  | { readonly type: 'stage'; readonly id: string; readonly stage: Stage; readonly durationMs: number }
  | { readonly type: 'progress'; readonly id: string; readonly progress: JobProgress }
  | { readonly type: 'done'; readonly id: string; readonly receipt: Receipt }
  | { readonly type: 'failed'; readonly id: string; readonly code: string; readonly message: string }
  | ({ readonly call: number } & Outcome);
