import type { LaneUse } from './compute-choice.js';
import { JobQueues, type Selection, type Turn, type Waiting } from './job-queues.js';

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

/** Where a batch runs. */
export interface Place {
  /** The lane's index, from 0. */
  readonly lane: number;
  /** Threads of the device that it takes, at least 1. */
  readonly threads: number;
}

/** The part of the device that batches of an item may take. */
export interface DeviceUse extends LaneUse {
  /** Whether a batch takes all threads of the device, in the first lane, where fewer items wait than there are lanes. */
  readonly canTakeAll: boolean;
}

export interface SchedulerOptions<Item, Result> {
  /** Threads of the device, at least 1: those of all running batches together, at most. */
  readonly threads: number;
  /** What an item's batch takes of the device; it has at least `lanes × threads` threads. */
  readonly use: (item: Item) => DeviceUse;
  /** Hands the device a batch, to run in its lane after the one before. */
  readonly start: (items: readonly Item[], place: Place) => DeviceBatch<Result>;
  /** The most items of a batch that this one leads, at least 1. */
  readonly maxBatch: (item: Item) => number;
  /** How long an item may wait for others to join its batch, in ms, such as 2; 0 waits for none. */
  readonly maxDelayMs: number;
  /** A class that has waited this long leads the next batch, whatever else is waiting; in ms, such as 2000. */
  readonly agingMs: number;
  /** Px that the device computes for an item. */
  readonly pixels: (item: Item) => number;
  /** Called when a batch has run, with its number of items, and its share of the device's time: ms × threads of all. */
  readonly onRan?: (items: number, deviceMs: number) => void;
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
  readonly place: Place;
  /** Its number among all batches. */
  readonly index: number;
  readonly startedAt: number;
  readonly device: DeviceBatch<Result>;
}

interface Lane<Item, Result> {
  /** The batch that runs, and the one that is ready behind it. */
  readonly batches: Batch<Item, Result>[];
  lastEnd: number;
}

/** A batch that runs: since when, and how long it should take, in ms. */
export interface RunningBatch {
  readonly since: number;
  readonly expectedMs: number;
}

/**
 * Shares one device between jobs. `JobQueues` decides whose items run next; the scheduler hands them to the lanes of
 * the device, and their results to whoever submitted them.
 *
 * Running batches never take more threads together than the device has. One batch is ready behind each that runs, and
 * takes no more threads, so that no lane waits for this thread. It is revoked, and its items are queued again, when
 * more urgent work arrives, or another lane could begin it now. The next batch waits for its place, and nothing
 * overtakes it: so batches of many threads are not starved by those of few.
 */
export class Scheduler<Item, Result> {
  readonly #queues: JobQueues<Entry<Item, Result>>;
  readonly #lanes: readonly Lane<Item, Result>[];
  #cancelTimer: (() => void) | null = null;
  #started = 0;

  constructor(private readonly options: SchedulerOptions<Item, Result>) {
    const { threads, maxDelayMs, agingMs, maxBatch, clock } = options;
    this.#lanes = Array.from({ length: threads }, () => ({ batches: [], lastEnd: Number.NEGATIVE_INFINITY }));
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

  /** The batches that the device runs. */
  get running(): readonly RunningBatch[] {
    return this.#lanes.flatMap((lane) => (lane.batches.length > 0 ? [runningOf(lane)] : []));
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
      this.#makeWay(entry);
      this.#dispatch();
    });
  }

  /** Keeps the device supplied; where no batch is due yet, a timer calls again when one is. */
  #dispatch(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    for (;;) {
      const next = this.#queues.next();
      if (next === null) {
        if (!this.#moveReady()) return;
        continue;
      }
      if ('dueInMs' in next) {
        this.#cancelTimer = this.options.clock.after(next.dueInMs, () => this.#dispatch());
        return;
      }
      const place = this.#placeOf(next.first);
      if (place === null) return;
      this.#start(next, place);
    }
  }

  #start(turn: Turn<Entry<Item, Result>>, place: Place): void {
    const { use, start, clock, threads } = this.options;
    const selection = this.#queues.take(turn, place.threads === threads ? 1 : use(turn.first.item).lanes);
    const device = start(
      selection.items.map(({ item }) => item),
      place,
    );
    const batch = { selection, place, index: this.#started++, startedAt: clock.now(), device };
    this.#lanes[place.lane]!.batches.push(batch);
    void this.#finish(batch);
  }

  /** Where the batch that an item leads goes now; null where it has to wait. */
  #placeOf({ item }: Entry<Item, Result>): Place | null {
    const { lanes, threads: each, canTakeAll } = this.options.use(item);
    const all = this.options.threads;
    const takesAll = canTakeAll && this.depth < lanes;
    if (takesAll && this.#freeThreads === all) return { lane: 0, threads: all };
    const behind = (threads: number) => {
      const lane = this.#laneToFollow(lanes, threads, ({ batches }) => batches.length === 1);
      return lane === null ? null : { lane, threads };
    };
    const idle = this.#idleLane(lanes, each);
    if (idle !== null) return { lane: idle, threads: each };
    return (takesAll ? behind(all) : null) ?? behind(each);
  }

  /** Threads that no batch takes; a ready one takes no more than the one that it follows. */
  get #freeThreads(): number {
    const used = this.#lanes.reduce((sum, { batches: [first] }) => sum + (first?.place.threads ?? 0), 0);
    return this.options.threads - used;
  }

  /** The first of this many lanes that is idle; null where none is, or this many threads are not free. */
  #idleLane(lanes: number, threads: number): number | null {
    if (this.#freeThreads < threads) return null;
    const index = this.#lanes.findIndex(({ batches }) => batches.length === 0);
    return index >= 0 && index < lanes ? index : null;
  }

  /** Of the lanes whose running batch one of this many threads may follow, the one that should be free first. */
  #laneToFollow(lanes: number, threads: number, fits: (lane: Lane<Item, Result>) => boolean): number | null {
    const candidates = this.#lanes.flatMap((lane, index) => {
      const [running] = lane.batches;
      if (index >= lanes || !running || running.place.threads < threads || !fits(lane)) return [];
      const { since, expectedMs } = runningOf(lane);
      return [{ index, end: since + expectedMs }];
    });
    return candidates.sort((a, b) => a.end - b.end)[0]?.index ?? null;
  }

  /** Revokes what is ready, but less urgent than a new item: one batch that it can replace, or else all of them. */
  #makeWay({ item, rank }: Entry<Item, Result>): void {
    const { lanes, threads } = this.options.use(item);
    if (this.#idleLane(lanes, threads) !== null) return;
    const yields = ({ batches: [, ready] }: Lane<Item, Result>) =>
      ready !== undefined && !ready.selection.isAged && rank < ready.selection.rank;
    const first = this.#laneToFollow(lanes, threads, yields);
    const ways = first === null ? this.#lanes.filter(yields) : [this.#lanes[first]!];
    // The last first, so that they return to the queue in their order.
    const revoked = ways.map(({ batches }) => batches[1]!).sort((a, b) => b.index - a.index);
    for (const batch of revoked) this.#revoke(batch);
  }

  /** Requeues a batch that is ready in one lane, and that another could begin now; false where there is none. */
  #moveReady(): boolean {
    return this.#lanes.some(({ batches: [, ready] }) => {
      if (!ready) return false;
      const { lanes, threads } = this.options.use(ready.selection.items[0]!.item);
      return this.#idleLane(lanes, threads) !== null && this.#revoke(ready);
    });
  }

  async #finish(batch: Batch<Item, Result>): Promise<void> {
    const { selection, place, startedAt, device } = batch;
    const results = await device.results.catch((error: unknown) => {
      return { error };
    });
    const lane = this.#lanes[place.lane]!;
    if (!lane.batches.includes(batch)) return; // it was revoked
    const now = this.options.clock.now();
    const began = Math.max(startedAt, lane.lastEnd);
    lane.lastEnd = now;
    lane.batches.splice(lane.batches.indexOf(batch), 1);
    const ranMs = now - began;
    const spentMs = ranMs * place.threads;
    const { items } = selection;
    this.options.onRan?.(items.length, spentMs / this.options.threads);
    this.#queues.settle(selection, 'error' in results ? null : spentMs);
    for (const [i, entry] of items.entries()) {
      if ('error' in results) entry.reject(results.error);
      else {
        const queuedMs = began - entry.since;
        entry.resolve({ result: results[i]!, batchSize: items.length, queuedMs, ranMs });
      }
    }
    this.#dispatch();
  }

  /** Takes a batch back and queues its items again, unless the device has begun it; false where it has. */
  #revoke(batch: Batch<Item, Result>): boolean {
    if (!batch.device.revoke()) return false;
    const { batches } = this.#lanes[batch.place.lane]!;
    batches.splice(batches.indexOf(batch), 1);
    this.#queues.restore(batch.selection);
    return true;
  }

  /** Rejects an item whose signal was aborted; one that the device has begun is finished. */
  #withdraw(entry: Entry<Item, Result>): void {
    for (const { batches } of this.#lanes) {
      const ready = batches[1];
      if (ready?.selection.items.includes(entry)) this.#revoke(ready);
    }
    if (!this.#queues.remove(entry)) return;
    entry.reject(entry.signal!.reason);
    this.#dispatch();
  }
}

function runningOf<Item, Result>({ batches: [batch], lastEnd }: Lane<Item, Result>): RunningBatch {
  const { selection, place, startedAt } = batch!;
  const costMs = selection.chargesMs.reduce((sum, chargeMs) => sum + chargeMs, 0);
  return { since: Math.max(startedAt, lastEnd), expectedMs: costMs / place.threads };
}
