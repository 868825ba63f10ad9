import type { Receipt } from '../receipt.js';
import type { Stage } from '../segment.js';
import type { JobSpec, Progress, SegmenterOptions } from '../segmenter.js';

/** What a worker process is started with. */
export type WorkerOptions = Omit<SegmenterOptions, 'onBatch'>;

export type ToWorker =
  | { readonly type: 'start'; readonly options: WorkerOptions }
  | { readonly type: 'run'; readonly job: JobSpec }
  | { readonly type: 'cancel'; readonly id: string }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'ready'; readonly device: string }
  | { readonly type: 'batch'; readonly tiles: number; readonly ranMs: number; readonly waiting: number }
  | { readonly type: 'stage'; readonly id: string; readonly stage: Stage; readonly durationMs: number }
  | { readonly type: 'progress'; readonly id: string; readonly progress: Progress }
  | { readonly type: 'done'; readonly id: string; readonly receipt: Receipt }
  | { readonly type: 'failed'; readonly id: string; readonly code: string; readonly message: string };
