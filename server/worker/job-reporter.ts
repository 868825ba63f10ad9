import type { JobProgress } from '../contract/job-spec.js';
import type { Stage } from '../contract/stages.js';
import type { JobEvent, StageTime } from './methods.js';

/**
 * Reports a job's stages and its progress: a tile is one message, with all of its stages. A band that tiles follow is
 * reported at once, since what the server holds against a job ends with it.
 */
export class JobReporter {
  #stages: StageTime[] = [];
  /** Whether all tiles are done. */
  #isComplete = false;

  constructor(private readonly emit: (event: JobEvent) => void) {}

  stage(stage: Stage, durationMs: number): void {
    this.#stages.push({ stage, durationMs });
    if (stage === 'encode' && !this.#isComplete) this.#send(null);
  }

  progress(progress: JobProgress): void {
    this.#isComplete = progress.tilesDone === progress.tiles;
    this.#send(progress);
  }

  /** Sends the stages that no tile follows. */
  flush(): void {
    if (this.#stages.length > 0) this.#send(null);
  }

  #send(progress: JobProgress | null): void {
    this.emit({ type: 'progress', stages: this.#stages, progress });
    this.#stages = [];
  }
}
