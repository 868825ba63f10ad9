import { JobQueues, type Selection, type Waiting } from './job-queues.js';

/** Time and timers, injected so that tests need not wait. */
export interface Clock {
  now(): number;
  /** Calls back after `delayMs`; returns a function that cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Priority classes, the most urgent first. */
export const PRIORITIES = ['interactive', 'normal', 'bulk'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** A batch that was handed to the device. */
export interface DeviceBatch<Result> {
  /** One result per item, in order; ignored once the batch is revoked. */
  readonly results: Promise<readonly Result[]>;
  /** Takes the batch back: true where the device has not begun it, and then never will. */
  revoke(): boolean;
}

export interface SchedulerOptions<Item, Result> {
  /** Hands the device a batch, to run after the one before. */
  readonly start: (items: readonly Item[]) => DeviceBatch<Result>;
  /** The most items of a batch that this one leads, at least 1. */
  readonly maxBatch: (item: Item) => number;
  /** How long an item may wait for others to join its batch, in ms, such as 2; 0 waits for none. */
  readonly maxDelayMs: number;
  /** A class that has waited this long leads the next batch, whatever else is waiting; in ms, such as 2000. */
  readonly agingMs: number;
  /** Px that the device computes for an item. */
  readonly pixels: (item: Item) => number;
  /** Called when a batch has run, with its number of items and how long the device took, in ms. */
  readonly onRan?: (items: number, ranMs: number) => void;
  readonly clock: Clock;
}

export interface Submission<Item> {
  /** Only items of one group share a batch. */
  readonly group: string;
  /** Items of one model cost the same per px. */
  readonly model: string;
  /** Jobs of one class share the device evenly. */
  readonly job: string;
  readonly priority: Priority;
  readonly item: Item;
  /** Aborting it withdraws an item that the device has not begun. */
  readonly signal?: AbortSignal;
}

/** A result, with how long its item waited for the device and how long its batch ran, in ms. */
export interface Batched<Result> {
  readonly result: Result;
  readonly batchSize: number;
  readonly queuedMs: number;
  readonly ranMs: number;
}

interface Entry<Item, Result> extends Waiting {
  readonly item: Item;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (value: Batched<Result>) => void;
  readonly reject: (reason: unknown) => void;
}

interface Batch<Item, Result> {
  readonly selection: Selection<Entry<Item, Result>>;
  readonly startedAt: number;
  readonly device: DeviceBatch<Result>;
}

/** Batches that the device has at a time: one that runs, and one that is ready behind it. */
const MAX_IN_FLIGHT = 2;

/**
 * Shares one device between jobs. `JobQueues` decides whose items run next; the scheduler hands them to the device,
 * and their results to whoever submitted them.
 *
 * One batch is ready behind the one that runs, so that the device never waits for this thread. It is revoked, and
 * its items are queued again, when more urgent work arrives.
 */
export class Scheduler<Item, Result> {
  readonly #queues: JobQueues<Entry<Item, Result>>;
  /** The batch that runs, and the one that is ready. */
  readonly #inFlight: Batch<Item, Result>[] = [];
  #lastEnd = Number.NEGATIVE_INFINITY;
  #cancelTimer: (() => void) | null = null;

  constructor(private readonly options: SchedulerOptions<Item, Result>) {
    const { maxDelayMs, agingMs, maxBatch, clock } = options;
    this.#queues = new JobQueues({
      classes: PRIORITIES.length,
      maxDelayMs,
      agingMs,
      maxBatch: ({ item }) => maxBatch(item),
      now: () => clock.now(),
    });
  }

  /** Items that wait for a batch. */
  get depth(): number {
    return this.#queues.depth;
  }

  /** When the batch that the device runs began, and how long it should take, in ms; null while the device is idle. */
  get running(): { readonly since: number; readonly expectedMs: number } | null {
    const [batch] = this.#inFlight;
    if (!batch) return null;
    const expectedMs = batch.selection.chargesMs.reduce((sum, chargeMs) => sum + chargeMs, 0);
    return { since: Math.max(batch.startedAt, this.#lastEnd), expectedMs };
  }

  /** Queues an item. Rejects with the signal's reason where it is withdrawn, or with its batch's error. */
  submit({ group, model, job, priority, item, signal }: Submission<Item>): Promise<Batched<Result>> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const withdraw = () => this.#withdraw(entry);
      const entry: Entry<Item, Result> = {
        group,
        model,
        job,
        rank: PRIORITIES.indexOf(priority),
        pixels: this.options.pixels(item),
        since: this.options.clock.now(),
        item,
        signal,
        resolve: (value) => {
          signal?.removeEventListener('abort', withdraw);
          resolve(value);
        },
        reject: (reason) => {
          signal?.removeEventListener('abort', withdraw);
          reject(reason);
        },
      };
      signal?.addEventListener('abort', withdraw, { once: true });
      this.#queues.add(entry);
      const ready = this.#inFlight[1];
      if (ready && !ready.selection.isAged && entry.rank < ready.selection.rank) this.#revoke(ready);
      this.#dispatch();
    });
  }

  /** Keeps the device supplied; where no batch is due yet, a timer calls again when one is. */
  #dispatch(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    while (this.#inFlight.length < MAX_IN_FLIGHT) {
      const next = this.#queues.take();
      if (next === null) return;
      if ('dueInMs' in next) {
        this.#cancelTimer = this.options.clock.after(next.dueInMs, () => this.#dispatch());
        return;
      }
      const device = this.options.start(next.items.map(({ item }) => item));
      const batch = { selection: next, startedAt: this.options.clock.now(), device };
      this.#inFlight.push(batch);
      void this.#finish(batch);
    }
  }

  async #finish(batch: Batch<Item, Result>): Promise<void> {
    const { selection, startedAt, device } = batch;
    const results = await device.results.catch((error: unknown) => {
      return { error };
    });
    if (!this.#inFlight.includes(batch)) return; // it was revoked
    const now = this.options.clock.now();
    const began = Math.max(startedAt, this.#lastEnd);
    this.#lastEnd = now;
    this.#inFlight.splice(this.#inFlight.indexOf(batch), 1);
    const ranMs = now - began;
    const { items } = selection;
    this.options.onRan?.(items.length, ranMs);
    this.#queues.settle(selection, 'error' in results ? null : ranMs);
    for (const [i, entry] of items.entries()) {
      if ('error' in results) entry.reject(results.error);
      else {
        const queuedMs = began - entry.since;
        entry.resolve({ result: results[i]!, batchSize: items.length, queuedMs, ranMs });
      }
    }
    this.#dispatch();
  }

  /** Takes a batch back and queues its items again, unless the device has begun it. */
  #revoke(batch: Batch<Item, Result>): void {
    if (!batch.device.revoke()) return;
    this.#inFlight.splice(this.#inFlight.indexOf(batch), 1);
    this.#queues.restore(batch.selection);
  }

  /** Rejects an item whose signal was aborted; one that the device has begun is finished. */
  #withdraw(entry: Entry<Item, Result>): void {
    const ready = this.#inFlight[1];
    if (ready?.selection.items.includes(entry)) this.#revoke(ready);
    if (!this.#queues.remove(entry)) return;
    entry.reject(entry.signal!.reason);
    this.#dispatch();
  }
}
