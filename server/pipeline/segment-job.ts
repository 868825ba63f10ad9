import type { ImageSource } from '../../tiling/source.js';
import type { JobSpec } from '../contract/job-spec.js';
import type { JobProgress } from '../contract/schemas/job.js';
import type { Stage } from '../contract/stages.js';

/** A job in the process that runs it. */
export interface SegmentJob extends JobSpec {
  readonly signal: AbortSignal;
  /** Wraps the image, and a mask of its tissue, to observe how they are opened and read. */
  readonly watch?: (opening: Promise<ImageSource>) => Promise<ImageSource>;
  readonly onStage?: (stage: Stage, durationMs: number, endedMs: number) => void;
  /** Called with what a result waits for, such as another run that writes into the same store. */
  readonly onWait?: (reason: string) => void;
  readonly onProgress?: (progress: JobProgress) => void;
}
