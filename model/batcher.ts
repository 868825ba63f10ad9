/** Time and timers, injected so that tests need not wait. */
export interface Clock {
  now(): number;
  /** Calls back after `delayMs`; returns what cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

export interface BatcherOptions<Item, Result> {
  /** Computes a batch: one result an item, in order. */
  readonly run: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** Items that one batch may hold, at least 1, by its first item. */
  readonly maxBatch: (item: Item) => number;
  /** How long an item may wait for others to join it, in ms; 0 waits for nobody. */
  readonly maxDelayMs: number;
  /** Batches given to `run` and not finished, at least 1: one that runs and one that is ready. */
  readonly maxInFlight: number;
  readonly clock: Clock;
}

export interface Submission<Item> {
  /** Only items of one group share a batch. */
  readonly group: string;
  /** Whose item it is: jobs take turns within a batch. */
  readonly job: string;
  readonly item: Item;
  /** When aborted, an item that waits leaves before the next batch is made. */
  readonly signal?: AbortSignal;
}

/** A result, with how long its item waited for a batch and how long the batch ran, in ms. */
export interface Batched<Result> {
  readonly result: Result;
  readonly batchSize: number;
  readonly queuedMs: number;
  readonly ranMs: number;
}

interface Waiting<Item, Result> extends Submission<Item> {
  readonly since: number;
  readonly resolve: (value: Batched<Result>) => void;
  readonly reject: (reason: unknown) => void;
}

/** Gathers items of many jobs into batches for one device. */
export class Batcher<Item, Result> {
  /** In order of arrival. */
  readonly #waiting = new Set<Waiting<Item, Result>>();
  #inFlight = 0;
  #cancelTimer: (() => void) | null = null;

  constructor(private readonly options: BatcherOptions<Item, Result>) {}

  /** Items that wait for a batch. */
  get depth(): number {
    return this.#waiting.size;
  }

  submit(submission: Submission<Item>): Promise<Batched<Result>> {
    const { signal } = submission;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const leave = () => {
        if (this.#waiting.delete(entry)) reject(signal!.reason);
      };
      const entry: Waiting<Item, Result> = {
        ...submission,
        since: this.options.clock.now(),
        resolve: (value) => {
          signal?.removeEventListener('abort', leave);
          resolve(value);
        },
        reject: (reason) => {
          signal?.removeEventListener('abort', leave);
          reject(reason);
        },
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.add(entry);
      this.#dispatch();
    });
  }

  #dispatch(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const { clock, maxDelayMs, maxInFlight } = this.options;
    while (this.#inFlight < maxInFlight) {
      const [oldest] = this.#waiting;
      if (!oldest) return;
      const ready =
        this.#fullBatch() ?? (clock.now() - oldest.since >= maxDelayMs ? this.#batch(oldest) : null);
      if (ready === null) {
        const left = maxDelayMs - (clock.now() - oldest.since);
        this.#cancelTimer = clock.after(left, () => this.#dispatch());
        return;
      }
      void this.#run(ready);
    }
  }

  /** The first group, in order of arrival, that fills a batch. */
  #fullBatch(): Waiting<Item, Result>[] | null {
    const seen = new Set<string>();
    for (const entry of this.#waiting) {
      if (seen.has(entry.group)) continue;
      seen.add(entry.group);
      const batch = this.#batch(entry);
      if (batch.length === this.options.maxBatch(entry.item)) return batch;
    }
    return null;
  }

  /** A batch of the group of `first`: one item of each job in turn. */
  #batch(first: Waiting<Item, Result>): Waiting<Item, Result>[] {
    const jobs = new Map<string, Waiting<Item, Result>[]>();
    for (const entry of this.#waiting) {
      if (entry.group !== first.group) continue;
      const of = jobs.get(entry.job);
      if (of) of.push(entry);
      else jobs.set(entry.job, [entry]);
    }
    const limit = this.options.maxBatch(first.item);
    const batch: Waiting<Item, Result>[] = [];
    for (let round = 0; batch.length < limit; round++) {
      const turn = [...jobs.values()].flatMap((entries) => entries[round] ?? []);
      if (turn.length === 0) break;
      batch.push(...turn.slice(0, limit - batch.length));
    }
    return batch;
  }

  async #run(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    const { clock, run } = this.options;
    for (const entry of batch) this.#waiting.delete(entry);
    this.#inFlight++;
    const started = clock.now();
    try {
      const results = await run(batch.map(({ item }) => item));
      const ranMs = clock.now() - started;
      for (const [i, entry] of batch.entries()) {
        const queuedMs = started - entry.since;
        entry.resolve({ result: results[i]!, batchSize: batch.length, queuedMs, ranMs });
      }
    } catch (error) {
      for (const entry of batch) entry.reject(error);
    } finally {
      this.#inFlight--;
      this.#dispatch();
    }
  }
}
