import { DeviceKillerError } from '../errors.js';
import type { Clock } from './clock.js';
import {
  DeviceLanes,
  type DeviceUse,
  type LaneBatch,
  type Place,
  type RunningBatch,
} from './device-lanes.js';
import { JobQueues, type Selection, type Turn, type Waiting } from './job-queues.js';
import { PRIORITIES, type Priority } from './priority.js';

/** A batch that has run. */
export interface RanBatch {
  readonly items: number;
  /** The most items that it could have had. */
  readonly most: number;
  readonly lane: number;
  readonly ranMs: number;
  /** Its share of the device's time: of `ranMs`, as its threads are of all. */
  readonly deviceMs: number;
}

/** Items of one class that wait for a batch. */
export interface WaitingClass {
  readonly priority: Priority;
  readonly items: number;
  /** How long the first of them has waited, in ms; 0 where there is none. */
  readonly oldestMs: number;
}

/** A batch that was handed to the device. */
export interface DeviceBatch<Result> {
  /** One result per item, in order; ignored once the batch is revoked. */
  readonly results: Promise<readonly Result[]>;
  /** Takes the batch back: true where the device has not begun it, and then never will. */
  revoke(): boolean;
}

export interface SchedulerOptions<Item, Result> {
  /** Threads of the device, at least 1: those of all running batches together, at most. */
  readonly threads: number;
  /** What an item's batch takes of the device; it has at least `lanes × threads` threads. */
  readonly use: (item: Item) => DeviceUse;
  /** Hands the device a batch, to run in its lane after the one before. */
  readonly start: (items: readonly Item[], place: Place) => DeviceBatch<Result>;
  /**
   * Called with the error of a batch. Null where it is the batch's own; else its lane was lost, and gets batches again
   * when the promise resolves. Where it rejects no lane is left: every item does, from then on. Default: every error is
   * the batch's own.
   */
  readonly recover?: (lane: number, error: unknown) => Promise<void> | null;
  /**
   * Until when a lane computes nothing, since it is lost: called before it gets a batch; null where it works. As `recover`
   * otherwise. Default: all lanes work.
   */
  readonly lost?: (lane: number) => Promise<void> | null;
  /** Called when no lane is left, before items reject, with the jobs of those that wait and with which one was lost. */
  readonly onGone?: (suspects: readonly string[]) => void;
  /** The most items of a batch that this one leads, at least 1. */
  readonly maxBatch: (item: Item) => number;
  /** How long an item may wait for others to join its batch, in ms, such as 2; 0 waits for none. */
  readonly maxDelayMs: number;
  /** A class that has waited this long leads the next batch, whatever else is waiting; in ms, such as 2000. */
  readonly agingMs: number;
  /** Px that the device computes for an item. */
  readonly pixels: (item: Item) => number;
  /** Called when a batch has run. */
  readonly onRan?: (batch: RanBatch) => void;
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

/** Lanes that are lost with an item, the last ones with it alone, before it is taken for the cause. */
const MAX_LOSSES = 2;

interface Entry<Item, Result> extends Waiting {
  /** Its own after a loss, so that it is computed alone. */
  group: string;
  readonly item: Item;
  /** Lanes that were lost while they computed it. */
  losses: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (value: Batched<Result>) => void;
  readonly reject: (reason: unknown) => void;
}

interface Batch<Item, Result> extends LaneBatch {
  readonly selection: Selection<Entry<Item, Result>>;
  /** Its number among all batches. */
  readonly index: number;
  readonly device: DeviceBatch<Result>;
}

/**
 * Shares one device between jobs. `JobQueues` decides whose items run next; the scheduler hands them to the lanes of
 * the device, and their results to whoever submitted them.
 *
 * One batch is ready behind each that runs (see `DeviceLanes`), so that no lane waits for this thread. It is revoked,
 * and its items are queued again, when more urgent work arrives, or another lane could begin it now. The next batch
 * waits for its place, and nothing overtakes it: so batches of many threads are not starved by those of few.
 */
export class Scheduler<Item, Result> {
  readonly #queues: JobQueues<Entry<Item, Result>>;
  readonly #lanes: DeviceLanes<Batch<Item, Result>>;
  #cancelTimer: (() => void) | null = null;
  #started = 0;
  #lost = 0;
  /** Batches that were ready in a lane when it was lost with another one. */
  readonly #unbegun = new WeakSet<Batch<Item, Result>>();
  /** Why no lane is left; null where there are some. */
  #failure: { readonly reason: unknown } | null = null;

  constructor(private readonly options: SchedulerOptions<Item, Result>) {
    const { threads, maxDelayMs, agingMs, maxBatch, clock } = options;
    this.#lanes = new DeviceLanes(threads);
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

  /** What waits for a batch, by its class. */
  get waiting(): readonly WaitingClass[] {
    const now = this.options.clock.now();
    const all = this.#queues.waiting;
    return PRIORITIES.map((priority, rank) => {
      const since = all.filter((item) => item.rank === rank).map((item) => item.since);
      return { priority, items: since.length, oldestMs: since.length === 0 ? 0 : now - Math.min(...since) };
    });
  }

  /** The batches that the device runs. */
  get running(): readonly RunningBatch[] {
    return this.#lanes.running;
  }

  /**
   * Queues an item. Rejects with the signal's reason where it is withdrawn, or with its batch's error.
   * @throws DeviceKillerError where lanes were lost with its batch, and then with it alone
   */
  submit({ group, model, job, priority, item, signal }: Submission<Item>): Promise<Batched<Result>> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (this.#failure) return reject(this.#failure.reason);
      const withdraw = () => this.#withdraw(entry);
      const entry: Entry<Item, Result> = {
        group,
        model,
        job,
        rank: PRIORITIES.indexOf(priority),
        pixels: this.options.pixels(item),
        since: this.options.clock.now(),
        losses: 0,
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
      this.#preempt(entry);
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
        if (!this.#requeueReady()) return;
        continue;
      }
      if ('dueInMs' in next) {
        this.#cancelTimer = this.options.clock.after(next.dueInMs, () => this.#dispatch());
        return;
      }
      const place = this.#lanes.placeFor(this.options.use(next.first.item), this.depth);
      if (place === null) return;
      const recovery = this.options.lost?.(place.lane);
      if (recovery) this.#closeUntil(recovery, place.lane);
      else this.#start(next, place);
    }
  }

  #start(turn: Turn<Entry<Item, Result>>, place: Place): void {
    const { use, start, clock, threads } = this.options;
    const selection = this.#queues.take(turn, place.threads === threads ? 1 : use(turn.first.item).lanes);
    const device = start(
      selection.items.map(({ item }) => item),
      place,
    );
    const costMs = selection.chargesMs.reduce((sum, chargeMs) => sum + chargeMs, 0);
    const batch = {
      selection,
      place,
      index: this.#started++,
      startedAt: clock.now(),
      expectedMs: costMs / place.threads,
      device,
    };
    this.#lanes.add(batch);
    void this.#finish(batch);
  }

  /** Revokes what is ready, but less urgent than a new item: one batch that it can replace, or else all of them. */
  #preempt({ item, rank }: Entry<Item, Result>): void {
    const use = this.options.use(item);
    if (this.#lanes.hasIdleLane(use)) return;
    const isLessUrgent = ({ selection }: Batch<Item, Result>) => !selection.isAged && rank < selection.rank;
    const first = this.#lanes.firstReady(use, isLessUrgent);
    const preempted = first === null ? this.#lanes.ready.filter(isLessUrgent) : [first];
    // The last first, so that they return to the queue in their order.
    for (const batch of preempted.sort((a, b) => b.index - a.index)) this.#revoke(batch);
  }

  /** Requeues a batch that is ready in one lane, and that another could begin now; false where there is none. */
  #requeueReady(): boolean {
    return this.#lanes.ready.some((batch) => {
      const use = this.options.use(batch.selection.items[0]!.item);
      return this.#lanes.hasIdleLane(use) && this.#revoke(batch);
    });
  }

  async #finish(batch: Batch<Item, Result>): Promise<void> {
    const { selection, place, device } = batch;
    const results = await device.results.catch((error: unknown) => {
      return { error };
    });
    const now = this.options.clock.now();
    const began = this.#lanes.end(batch, now);
    if (began === null) return; // it was revoked
    const ranMs = now - began;
    const recovery = 'error' in results ? this.options.recover?.(place.lane, results.error) : null;
    if (recovery) {
      this.#lose(batch, recovery, (results as { error: unknown }).error);
      return;
    }
    const spentMs = ranMs * place.threads;
    const { items } = selection;
    const { onRan, maxBatch, threads } = this.options;
    const most = Math.max(items.length, maxBatch(items[0]!.item));
    onRan?.({ items: items.length, most, lane: place.lane, ranMs, deviceMs: spentMs / threads });
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

  /** Queues the items of a batch again whose lane was lost: each alone, for one of them may be the cause. */
  #lose(batch: Batch<Item, Result>, recovery: Promise<void>, error: unknown): void {
    const { selection, place } = batch;
    this.#closeUntil(recovery, place.lane);
    const wasRunning = !this.#unbegun.has(batch);
    for (const behind of this.#lanes.batchesOf(place.lane)) this.#unbegun.add(behind);
    this.#queues.restore(selection);
    for (const entry of selection.items) {
      if (wasRunning) {
        entry.losses++;
        entry.group = `lost ${this.#lost++}`;
      }
      const reason = entry.signal?.aborted ? entry.signal.reason : new DeviceKillerError('a tile', error);
      const isOver = entry.signal?.aborted || entry.losses >= MAX_LOSSES;
      if (isOver && this.#queues.remove(entry)) entry.reject(reason);
    }
    this.#dispatch();
  }

  /** Gives a lane no batches until it is recovered. */
  #closeUntil(recovery: Promise<void>, lane: number): void {
    this.#lanes.close(lane);
    recovery
      .then(
        () => this.#lanes.open(lane),
        (reason: unknown) => this.#rejectAll(reason),
      )
      .finally(() => this.#dispatch());
  }

  /** Rejects whatever waits: no lane is left. */
  #rejectAll(reason: unknown): void {
    if (this.#failure === null) {
      const suspects = this.#queues.waiting.filter(({ losses }) => losses > 0).map(({ job }) => job);
      this.options.onGone?.([...new Set(suspects)]);
    }
    this.#failure = { reason };
    for (const entry of this.#queues.waiting) {
      this.#queues.remove(entry);
      entry.reject(reason);
    }
  }

  /** Takes a batch back and queues its items again, unless the device has begun it; false where it has. */
  #revoke(batch: Batch<Item, Result>): boolean {
    if (!batch.device.revoke()) return false;
    this.#lanes.remove(batch);
    this.#queues.restore(batch.selection);
    return true;
  }

  /** Rejects an item whose signal was aborted; one that the device has begun is finished. */
  #withdraw(entry: Entry<Item, Result>): void {
    for (const batch of this.#lanes.ready) if (batch.selection.items.includes(entry)) this.#revoke(batch);
    if (!this.#queues.remove(entry)) return;
    entry.reject(entry.signal!.reason);
    this.#dispatch();
  }
}
