import { PRIORITIES, type Priority } from '../../model/scheduler/priority.js';

/** What a job takes of the memory, in bytes. */
export interface JobNeed {
  /** By itself. */
  readonly own: number;
  /** At least for what computes it, which other jobs share. */
  readonly shared: number;
}

interface Job {
  readonly need: JobNeed;
  readonly rank: number;
}

interface Waiting extends Job {
  readonly since: number;
  readonly admit: () => void;
}

/** A job that has waited this long, for more urgent ones alone, is the next. */
const AGING_MS = 10_000;

/**
 * The memory of running jobs, in bytes. A job waits until what it takes fits beside the others, the most urgent first;
 * one that is alone never waits. What jobs do not take is for models and sessions.
 */
export class JobMemory {
  readonly #running = new Set<Job>();
  readonly #waiting: Waiting[] = [];

  /**
   * @param bytes that jobs, models and sessions may take together
   * @param onChange called with what the running jobs take by themselves, after each change
   * @param now in ms
   */
  constructor(
    private readonly bytes: number,
    private readonly onChange: (jobBytes: number) => void,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** What the running jobs take by themselves. */
  get taken(): number {
    return ownBytes([...this.#running]);
  }

  /** Runs a job in its share of the memory. Rejects when `signal` aborts before it has one. */
  async withMemory<Result>(
    need: JobNeed,
    priority: Priority,
    signal: AbortSignal,
    work: () => Promise<Result>,
  ): Promise<Result> {
    const job = { need, rank: PRIORITIES.indexOf(priority) };
    await this.#admitted(job, signal);
    try {
      return await work();
    } finally {
      this.#running.delete(job);
      this.onChange(this.taken);
      this.#admit();
    }
  }

  #admitted(job: Job, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal.reason);
        this.#admit();
      };
      const waiting = {
        ...job,
        since: this.now(),
        admit: () => {
          signal.removeEventListener('abort', leave);
          this.#running.add(job);
          this.onChange(this.taken);
          resolve();
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      const behind = this.#waiting.findIndex((other) => other.rank > job.rank);
      this.#waiting.splice(behind < 0 ? this.#waiting.length : behind, 0, waiting);
      this.#admit();
    });
  }

  #admit(): void {
    for (;;) {
      const next = this.#next();
      if (!next || !this.#fits(next.need, [...this.#running])) return;
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      next.admit();
    }
  }

  /** The most urgent job that waits, or one that more urgent ones, which may never cease, have kept waiting too long. */
  #next(): Waiting | undefined {
    const running = [...this.#running];
    const isKeptWaiting = ({ need, rank, since }: Waiting) =>
      this.now() - since >= AGING_MS &&
      this.#fits(
        need,
        running.filter((job) => job.rank >= rank),
      );
    return this.#waiting.find(isKeptWaiting) ?? this.#waiting[0];
  }

  #fits(need: JobNeed, others: readonly Job[]): boolean {
    if (others.length === 0) return true;
    const shared = Math.max(need.shared, ...others.map((other) => other.need.shared));
    return ownBytes(others) + need.own + shared <= this.bytes;
  }
}

const ownBytes = (jobs: readonly Job[]): number => jobs.reduce((sum, { need }) => sum + need.own, 0);
