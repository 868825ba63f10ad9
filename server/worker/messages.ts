import type { EngineOptions } from '../../model/engine.js';
import type { TileChoice } from '../../tiling/plan.js';
import type { Format, Output } from '../outputs.js';
import type { Receipt } from '../receipt.js';
import type { Stage } from '../segment.js';
import type { Progress } from '../segmenter.js';

/** What a worker process is started with. */
export interface WorkerOptions {
  readonly modelsDir: string;
  readonly maxPixels: number;
  readonly engine: EngineOptions;
}

/** A job as it crosses to the worker. */
export interface WorkerJob {
  readonly id: string;
  readonly input: string;
  readonly scratchDir: string;
  readonly result: string;
  readonly model: string | undefined;
  readonly output: Output;
  readonly format: Format;
  readonly tile: TileChoice;
}

export type ToWorker =
  | { readonly type: 'start'; readonly options: WorkerOptions }
  | { readonly type: 'run'; readonly job: WorkerJob }
  | { readonly type: 'cancel'; readonly id: string }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'ready'; readonly device: string }
  | { readonly type: 'batch'; readonly tiles: number; readonly ranMs: number; readonly waiting: number }
  | { readonly type: 'stage'; readonly id: string; readonly stage: Stage; readonly durationMs: number }
  | { readonly type: 'progress'; readonly id: string; readonly progress: Progress }
  | { readonly type: 'done'; readonly id: string; readonly receipt: Receipt }
  | { readonly type: 'failed'; readonly id: string; readonly code: string; readonly message: string };
