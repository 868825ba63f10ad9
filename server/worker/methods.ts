import type { Environment } from '../../model/devices/environment.js';
import type { DeviceState } from '../../model/engine/lanes.js';
import type { CallContext } from '../../model/engine/rpc.js';
import type { TilingOutcome } from '../../model/exactness/self-test.js';
import type { OutputKind } from '../../model/network/output-kind.js';
import type { RanBatch, WaitingClass } from '../../model/scheduler/scheduler.js';
import type { ImageHeader } from '../contract/image-header.js';
import type { JobSpec, PlanSpec } from '../contract/job-spec.js';
import type { Receipt } from '../contract/receipt.js';
import type { JobProgress } from '../contract/schemas/job.js';
import type { JobFacts } from '../contract/schemas/plan.js';
import type { Stage } from '../contract/stages.js';
import type { ProcessUse } from '../metrics/process-use.js';
import type { ModelHostOptions } from '../pipeline/model-host.js';
import type { MemoryUse, SegmenterOptions } from '../pipeline/segmenter.js';
import type { WorkerLimits } from './limits.js';
import type { ImageLimits } from './read-limit.js';
import type { Beat } from './watchdog.js';

/** What a worker process is started with. */
export interface WorkerOptions extends Omit<SegmenterOptions, 'onTileCache'> {
  readonly modelHost: Omit<
    ModelHostOptions,
    'onBatch' | 'onGone' | 'onSearch' | 'onChoice' | 'onTiling' | 'hungAfter'
  >;
}

/** Small calls, which are retried in the next worker when one is lost. */
export interface WorkerCalls {
  plan(spec: PlanSpec, header: ImageHeader): Promise<JobFacts>;
  /** Seconds that an image's tiles would take. */
  estimate(spec: PlanSpec, header: ImageHeader): Promise<number>;
  /** The finished part of a running job's mask, as PNG; null where no such job runs. */
  preview(id: string): Promise<Buffer | null>;
}
export type CallName = keyof WorkerCalls;

/** What a worker process is called for; calls run concurrently. */
export interface WorkerMethods extends WorkerCalls {
  /**
   * The first call. Devices, and then a beat every `beatMs`, are emitted from then on.
   * @throws DeviceUnavailableError (by `code`) where none of those that are requested works
   */
  start(
    options: WorkerOptions,
    limits: Pick<WorkerLimits, 'beatMs' | 'batchMs' | 'batchFactor'>,
  ): Promise<void>;
  /** When cancelled, the job stops at the next tile, and removes what it wrote. */
  run(job: JobSpec, limits: ImageLimits, context: CallContext<JobEvent>): Promise<Receipt>;
  /** The last call: releases the device. */
  stop(): Promise<void>;
}

/** A stage that a tile or a band has passed. */
export interface StageTime {
  readonly stage: Stage;
  readonly durationMs: number;
  /** End of the stage, in ms since 1970. */
  readonly endedAtMs: number;
}

export type JobEvent =
  /** Stages since the last event, and where tiles have ended, the progress after them. */
  | {
      readonly type: 'progress';
      readonly stages: readonly StageTime[];
      readonly progress: JobProgress | null;
    }
  /** Native code does not return: this process has to be terminated. */
  | { readonly type: 'hung'; readonly reason: string };

/** What a worker does, as of a beat. */
export interface WorkerLoad {
  /** Its memory by purpose, in bytes. */
  readonly memory: MemoryUse;
  readonly process: ProcessUse;
  /** Tiles that wait for a batch, by the priority of their jobs. */
  readonly waiting: readonly WaitingClass[];
}

/** How a model is computed, as chosen from measurements on this device. */
export interface TunedModel {
  /** Its name. */
  readonly model: string;
  /** Side of the output of tiles, in px. */
  readonly tile: number;
  readonly lanes: number;
  readonly threads: number;
  readonly pixelsPerSecond: number;
}

/** A graph of a model whose tiles were compared with one pass over the whole image on this device. */
export interface TestedGraph extends TilingOutcome {
  /** Its name. */
  readonly model: string;
  readonly output: OutputKind;
  readonly symmetries: boolean;
  /** Whether its labels are those of a threshold. */
  readonly threshold: boolean;
}

/** What a worker computes with. */
export interface WorkerDevices {
  /** Everything that may change the bits of a result. */
  readonly environment: Environment;
  /** None where the worker's own threads compute. */
  readonly devices: readonly DeviceState[];
  /** Why the requested `auto` is no GPU; null where it is one, or was not requested. */
  readonly fallback: string | null;
}

/** Events that belong to no job. */
export type WorkerEvent =
  | ({ readonly type: 'beat' } & Beat)
  /** Batches that have run. */
  | { readonly type: 'batches'; readonly batches: readonly RanBatch[] }
  | { readonly type: 'tile-cache'; readonly bytes: number }
  | { readonly type: 'load'; readonly load: WorkerLoad }
  | { readonly type: 'choice'; readonly choice: TunedModel }
  | { readonly type: 'tiling'; readonly tiling: TestedGraph }
  /** When it has started, and when a device is lost or back. */
  | { readonly type: 'devices'; readonly devices: WorkerDevices }
  /** No device is left, and before, one was lost with tiles of these jobs, or tests: sent before jobs fail for it. */
  | { readonly type: 'gone'; readonly suspects: readonly string[] };
