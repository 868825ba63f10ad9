import type { Clock } from '../../model/scheduler/clock.js';
import type { JobProgress } from '../contract/schemas/job.js';
import type { Stage } from '../contract/stages.js';
import { Coalescer } from './coalescer.js';
import type { JobEvent, StageTime } from './methods.js';

/**
 * Reports a job's stages and its progress: tiles that end shortly after each other are one message. Reported at once are
 * the start, from which the server measures the speed, and a band that tiles follow, since what the server holds against
 * a job ends with it.
 */
export class JobReporter {
  #stages: StageTime[] = [];
  #progress: JobProgress | null = null;
  #isStarted = false;
  /** Whether all tiles are done. */
  #isComplete = false;
  readonly #reports: Coalescer;

  constructor(
    private readonly emit: (event: JobEvent) => void,
    clock?: Pick<Clock, 'after'>,
  ) {
    this.#reports = new Coalescer(() => this.#send(), clock);
  }

  /** @param endedAtMs when, in ms since 1970 */
  stage(stage: Stage, durationMs: number, endedAtMs: number): void {
    this.#stages.push({ stage, durationMs, endedAtMs });
    if (stage === 'encode' && !this.#isComplete) this.flush();
  }

  progress(progress: JobProgress): void {
    this.#isComplete = progress.tilesDone === progress.tiles;
    this.#progress = progress;
    if (this.#isStarted) this.#reports.request();
    else this.flush();
    this.#isStarted = true;
  }

  /** Reports at once what was not reported yet. */
  flush(): void {
    this.#reports.flush();
  }

  #send(): void {
    if (this.#stages.length === 0 && this.#progress === null) return;
    this.emit({ type: 'progress', stages: this.#stages, progress: this.#progress });
    this.#stages = [];
    this.#progress = null;
  }
}
