import { type Clock, systemClock } from '../../model/scheduler/clock.js';

/** Time for which what is to be reported is collected, in ms: a fast network ends hundreds of tiles a second. */
const COLLECT_MS = 50;

/** Calls back once for all requests of an interval, at its end. */
export class Coalescer {
  #cancel: (() => void) | null = null;

  constructor(
    private readonly callback: () => void,
    private readonly clock: Pick<Clock, 'after'> = systemClock,
  ) {}

  request(): void {
    this.#cancel ??= this.clock.after(COLLECT_MS, () => this.flush());
  }

  /** Calls back now, whether or not that was requested. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.callback();
  }
}
