import { roundMs, type Stage } from '../contract/stages.js';

/** Adds up how long each stage of a job took, and passes each time on. */
export class StageTimes {
  readonly #ms = new Map<Stage, number>();

  constructor(
    private readonly onStage: (stage: Stage, durationMs: number, endedMs: number) => void = () => {},
  ) {}

  /** @param endedMs when, in ms of `performance.now()`. Default now */
  add(stage: Stage, durationMs: number, endedMs = performance.now()): void {
    this.#ms.set(stage, (this.#ms.get(stage) ?? 0) + durationMs);
    this.onStage(stage, durationMs, endedMs);
  }

  /** Of each stage that there was, in ms, to a tenth. */
  get totals(): Partial<Record<Stage, number>> {
    return Object.fromEntries([...this.#ms].map(([stage, ms]) => [stage, roundMs(ms)]));
  }
}
