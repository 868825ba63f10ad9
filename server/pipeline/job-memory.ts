import { PRIORITIES, type Priority } from '../../model/scheduler.js';

/** What a job takes of the memory, in bytes. */
export interface JobNeed {
  /** By itself. */
  readonly own: number;
  /** At least for what computes it, which other jobs share. */
  readonly shared: number;
}

interface Waiting {
  readonly need: JobNeed;
  readonly rank: number;
  readonly admit: () => void;
}

/**
 * The memory of running jobs, in bytes. A job waits until what it takes fits beside the others, the most urgent first;
 * one that is alone never waits. What jobs do not take is for models and sessions.
 */
export class JobMemory {
  readonly #running = new Set<JobNeed>();
  readonly #waiting: Waiting[] = [];

  /**
   * @param bytes that jobs, models and sessions may take together
   * @param onChange called with what the running jobs take by themselves, after each change
   */
  constructor(
    private readonly bytes: number,
    private readonly onChange: (jobBytes: number) => void,
  ) {}

  /** What the running jobs take by themselves. */
  get taken(): number {
    return [...this.#running].reduce((sum, { own }) => sum + own, 0);
  }

  /** Runs a job in its share of the memory. Rejects when `signal` aborts before it has one. */
  async withMemory<Result>(
    need: JobNeed,
    priority: Priority,
    signal: AbortSignal,
    work: () => Promise<Result>,
  ): Promise<Result> {
    await this.#admitted(need, priority, signal);
    try {
      return await work();
    } finally {
      this.#running.delete(need);
      this.onChange(this.taken);
      this.#admit();
    }
  }

  #admitted(need: JobNeed, priority: Priority, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal.reason);
        this.#admit();
      };
      const rank = PRIORITIES.indexOf(priority);
      const waiting = {
        need,
        rank,
        admit: () => {
          signal.removeEventListener('abort', leave);
          this.#running.add(need);
          this.onChange(this.taken);
          resolve();
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      const behind = this.#waiting.findIndex((other) => other.rank > rank);
      this.#waiting.splice(behind < 0 ? this.#waiting.length : behind, 0, waiting);
      this.#admit();
    });
  }

  #admit(): void {
    for (;;) {
      const [first] = this.#waiting;
      if (!first || !this.#fits(first.need)) return;
      this.#waiting.shift();
      first.admit();
    }
  }

  #fits(need: JobNeed): boolean {
    if (this.#running.size === 0) return true;
    const shared = Math.max(need.shared, ...[...this.#running].map((running) => running.shared));
    return this.taken + need.own + shared <= this.bytes;
  }
}
