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

/** The classes of work, the most urgent first. */
export const PRIORITIES = ['interactive', 'normal', 'bulk'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** A batch that the device has been given. */
export interface DeviceBatch<Result> {
  /** One result an item, in order; of no meaning once the batch was revoked. */
  readonly results: Promise<readonly Result[]>;
  /** Takes the batch back: true where the device had not begun it, and never will. */
  revoke(): boolean;
}

export interface SchedulerOptions<Item, Result> {
  /** Gives the device a batch, to be run after the one that it was given before. */
  readonly start: (items: readonly Item[]) => DeviceBatch<Result>;
  /** Items that one batch may hold, at least 1, by its first item. */
  readonly maxBatch: (item: Item) => number;
  /** How long an item may wait for others to join its batch, in ms; 0 waits for nobody. */
  readonly maxDelayMs: number;
  /** A class that has waited for so long gets the next batch, whatever else waits, in ms. */
  readonly agingMs: number;
  /** Px that the device computes for an item. */
  readonly pixels: (item: Item) => number;
  /** Called when a batch has run: its items, and how long the device took, in ms. */
  readonly onRan?: (items: number, ranMs: number) => void;
  readonly clock: Clock;
}

export interface Submission<Item> {
  /** Only items of one group share a batch. */
  readonly group: string;
  /** Items of one model cost the same per px. */
  readonly model: string;
  /** Whose item it is; jobs of one class share the device evenly. */
  readonly job: string;
  readonly priority: Priority;
  readonly item: Item;
  /** When aborted, an item that the device has not begun leaves. */
  readonly signal?: AbortSignal;
}

/** A result, with how long its item waited for the device and how long the batch ran, in ms. */
export interface Batched<Result> {
  readonly result: Result;
  readonly batchSize: number;
  readonly queuedMs: number;
  readonly ranMs: number;
}

interface Entry<Item, Result> extends Submission<Item> {
  readonly queue: JobQueue<Item, Result>;
  readonly pixels: number;
  readonly since: number;
  readonly resolve: (value: Batched<Result>) => void;
  readonly reject: (reason: unknown) => void;
  /** What it was charged when it left its queue, in ms of the device. */
  chargedMs: number;
}

/** What one job has waiting, in order of arrival, and what it may still take of the device. */
interface JobQueue<Item, Result> {
  readonly key: string;
  readonly waiting: Entry<Item, Result>[];
  /**
   * The deficit counter: ms of the device that the job is due; negative where it shared more than its part.
   * It is less than the job's next item and a quantum cost, and goes when the job has nothing left here.
   */
  creditMs: number;
  inFlight: number;
}

interface PriorityClass<Item, Result> {
  /** The jobs that have something waiting; the first is the one whose turn it is. */
  readonly ring: JobQueue<Item, Result>[];
  /** When it last led a batch, or began to wait. */
  unservedSince: number;
}

interface Batch<Item, Result> {
  readonly entries: readonly Entry<Item, Result>[];
  /** Index of the class that led it. */
  readonly rank: number;
  /** Whether its class had waited too long: nothing more urgent takes its place. */
  readonly aged: boolean;
  readonly unservedBefore: number;
  readonly startedAt: number;
  readonly device: DeviceBatch<Result>;
}

/** Batches that the device has at a time: one that runs, and one that is ready behind it. */
const MAX_IN_FLIGHT = 2;
/** What each job of a class is granted in a round, in ms of the device. */
const QUANTUM_MS = 10;
/** Of a model that has not run yet, ms a px: corrected by its first batch. */
const FIRST_GUESS_MS = 2e-4;
/** Weight of the latest batch in a model's measured cost. */
const LATEST = 0.3;
const MAX_MODELS = 64;

/**
 * Shares one device between jobs: a queue a job, batches across jobs.
 *
 * The most urgent class that has work leads the next batch, unless a less urgent one has waited for
 * `agingMs`. Within a class, jobs take turns by deficit round-robin (Shreedhar and Varghese 1996): each is
 * granted the same time of the device, and pays for its items by px × the model's measured cost, corrected
 * when the batch has run. Room that is left in a batch goes to others of its group, who pay as well.
 *
 * One batch is ready behind the one that runs, so that the device never waits for this thread; it is put
 * back when more urgent work arrives.
 */
export class Scheduler<Item, Result> {
  readonly #queues = new Map<string, JobQueue<Item, Result>>();
  readonly #classes: readonly PriorityClass<Item, Result>[] = PRIORITIES.map(() => ({
    ring: [],
    unservedSince: 0,
  }));
  /** The batch that runs, and the one that is ready. */
  readonly #inFlight: Batch<Item, Result>[] = [];
  /** Measured cost of models, ms a px; the least recently run goes first. */
  readonly #costs = new Map<string, number>();
  #lastEnd = Number.NEGATIVE_INFINITY;
  #cancelTimer: (() => void) | null = null;

  constructor(private readonly options: SchedulerOptions<Item, Result>) {}

  /** Items that wait for a batch. */
  get depth(): number {
    return this.#classes.flatMap(({ ring }) => ring).reduce((sum, { waiting }) => sum + waiting.length, 0);
  }

  /** The batch that the device runs: since when, and how long it should take, in ms; null while it is idle. */
  get running(): { readonly since: number; readonly expectedMs: number } | null {
    const [batch] = this.#inFlight;
    if (!batch) return null;
    const expectedMs = batch.entries.reduce((sum, { chargedMs }) => sum + chargedMs, 0);
    return { since: Math.max(batch.startedAt, this.#lastEnd), expectedMs };
  }

  submit(submission: Submission<Item>): Promise<Batched<Result>> {
    const { signal, item } = submission;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const leave = () => this.#leave(entry);
      const entry: Entry<Item, Result> = {
        ...submission,
        queue: this.#queueOf(submission),
        pixels: this.options.pixels(item),
        since: this.options.clock.now(),
        chargedMs: 0,
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
      this.#enter(entry, 'last');
      const ready = this.#inFlight[1];
      if (ready && !ready.aged && rankOf(entry) < ready.rank) this.#putBack(ready);
      this.#dispatch();
    });
  }

  #dispatch(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    while (this.#inFlight.length < MAX_IN_FLIGHT) {
      const rank = this.#nextClass();
      if (rank === null) return;
      const { ring } = this.#classes[rank]!;
      const { clock, maxDelayMs } = this.options;
      const left = (queue: JobQueue<Item, Result>): number =>
        this.#isFull(queue.waiting[0]!) ? 0 : queue.waiting[0]!.since + maxDelayMs - clock.now();
      const ripe = ring.filter((queue) => left(queue) <= 0);
      if (ripe.length === 0) {
        // Nothing less urgent goes first: this class wants the device within `maxDelayMs`.
        this.#cancelTimer = clock.after(Math.min(...ring.map(left)), () => this.#dispatch());
        return;
      }
      this.#start(rank, this.#nextJob(ring, new Set(ripe)));
    }
  }

  /** The class that leads the next batch: one that has waited too long, or else the most urgent. */
  #nextClass(): number | null {
    const waiting = this.#classes.flatMap(({ ring }, rank) => (ring.length > 0 ? [rank] : []));
    const since = (rank: number) => this.#classes[rank]!.unservedSince;
    const [longest] = [...waiting].sort((a, b) => since(a) - since(b));
    if (longest === undefined) return null;
    return this.#isAged(longest) ? longest : waiting[0]!;
  }

  #isAged(rank: number): boolean {
    return this.options.clock.now() - this.#classes[rank]!.unservedSince >= this.options.agingMs;
  }

  /** Deficit round-robin: the job whose turn it is, among those that are ripe. */
  #nextJob(
    ring: JobQueue<Item, Result>[],
    ripe: ReadonlySet<JobQueue<Item, Result>>,
  ): JobQueue<Item, Result> {
    const missing = ({ waiting, creditMs }: JobQueue<Item, Result>) => this.#costOf(waiting[0]!) - creditMs;
    for (;;) {
      for (let turn = 0; turn < ring.length; turn++) {
        const [queue] = ring as [JobQueue<Item, Result>];
        if (ripe.has(queue) && missing(queue) <= 0) return queue;
        ring.push(ring.shift()!);
      }
      // Nobody can pay: as many rounds at once as it takes until somebody can.
      const rounds = Math.ceil(Math.min(...[...ripe].map(missing)) / QUANTUM_MS);
      for (const queue of ripe) queue.creditMs += rounds * QUANTUM_MS;
    }
  }

  #isFull({ group, item }: Entry<Item, Result>): boolean {
    let missing = this.options.maxBatch(item);
    for (const { ring } of this.#classes) {
      for (const { waiting } of ring) {
        for (const entry of waiting) if (entry.group === group && --missing === 0) return true;
      }
    }
    return false;
  }

  /** Makes a batch of the group of a job's first item, one item of each job in turn, and hands it over. */
  #start(rank: number, lead: JobQueue<Item, Result>): void {
    const [first] = lead.waiting as [Entry<Item, Result>];
    const limit = this.options.maxBatch(first.item);
    const leading = this.#classes[rank]!;
    const others = this.#classes.filter((other) => other !== leading);
    const sharing = [leading, ...others]
      .flatMap(({ ring }) => ring)
      .map(({ waiting }) => waiting.filter(({ group }) => group === first.group));
    const entries: Entry<Item, Result>[] = [];
    for (let round = 0; entries.length < limit; round++) {
      const turn = sharing.flatMap((waiting) => waiting[round] ?? []);
      if (turn.length === 0) break;
      entries.push(...turn.slice(0, limit - entries.length));
    }
    const { clock, start } = this.options;
    const { unservedSince } = leading;
    const aged = this.#isAged(rank);
    for (const entry of entries) {
      entry.chargedMs = this.#costOf(entry);
      entry.queue.creditMs -= entry.chargedMs;
      entry.queue.inFlight++;
      this.#remove(entry);
    }
    leading.unservedSince = clock.now();
    const device = start(entries.map(({ item }) => item));
    const batch = { entries, rank, aged, unservedBefore: unservedSince, startedAt: clock.now(), device };
    this.#inFlight.push(batch);
    void this.#finish(batch);
  }

  async #finish(batch: Batch<Item, Result>): Promise<void> {
    const { entries, startedAt, device } = batch;
    const results = await device.results.catch((error: unknown) => {
      return { error };
    });
    if (!this.#inFlight.includes(batch)) return; // it was put back
    const now = this.options.clock.now();
    const began = Math.max(startedAt, this.#lastEnd);
    this.#lastEnd = now;
    this.#inFlight.splice(this.#inFlight.indexOf(batch), 1);
    const ranMs = now - began;
    this.options.onRan?.(entries.length, ranMs);
    if (!('error' in results)) this.#learn(entries, ranMs);
    for (const [i, entry] of entries.entries()) {
      entry.queue.inFlight--;
      this.#forgetIdle(entry.queue);
      if ('error' in results) entry.reject(results.error);
      else {
        const queuedMs = began - entry.since;
        entry.resolve({ result: results[i]!, batchSize: entries.length, queuedMs, ranMs });
      }
    }
    this.#dispatch();
  }

  /** Corrects what the items of a batch were charged, and its model's cost, by how long it ran. */
  #learn(entries: readonly Entry<Item, Result>[], ranMs: number): void {
    const pixels = entries.reduce((sum, entry) => sum + entry.pixels, 0);
    for (const { queue, chargedMs, pixels: own } of entries) {
      queue.creditMs += chargedMs - (ranMs * own) / pixels;
    }
    const { model } = entries[0]!;
    const before = this.#costs.get(model) ?? ranMs / pixels;
    this.#costs.delete(model);
    this.#costs.set(model, before + LATEST * (ranMs / pixels - before));
    if (this.#costs.size > MAX_MODELS) this.#costs.delete(this.#costs.keys().next().value!);
  }

  /** Takes a batch back into its queues, unless the device has begun it. */
  #putBack(batch: Batch<Item, Result>): boolean {
    if (!batch.device.revoke()) return false;
    this.#inFlight.splice(this.#inFlight.indexOf(batch), 1);
    for (const entry of [...batch.entries].reverse()) {
      entry.queue.inFlight--;
      entry.queue.creditMs += entry.chargedMs;
      this.#enter(entry, 'first');
    }
    this.#classes[batch.rank]!.unservedSince = batch.unservedBefore;
    return true;
  }

  /** Lets an item go that nobody wants any more; what the device has begun is finished. */
  #leave(entry: Entry<Item, Result>): void {
    const ready = this.#inFlight[1];
    if (ready?.entries.includes(entry)) this.#putBack(ready);
    if (!entry.queue.waiting.includes(entry)) return;
    this.#remove(entry);
    this.#forgetIdle(entry.queue);
    entry.reject(entry.signal!.reason);
    this.#dispatch();
  }

  #enter(entry: Entry<Item, Result>, place: 'first' | 'last'): void {
    const { ring } = this.#classes[rankOf(entry)]!;
    const { waiting } = entry.queue;
    if (ring.length === 0) this.#classes[rankOf(entry)]!.unservedSince = entry.since;
    if (place === 'first') waiting.unshift(entry);
    else waiting.push(entry);
    if (ring.includes(entry.queue)) return;
    if (place === 'first') ring.unshift(entry.queue);
    else ring.push(entry.queue);
  }

  #remove(entry: Entry<Item, Result>): void {
    const { queue } = entry;
    queue.waiting.splice(queue.waiting.indexOf(entry), 1);
    if (queue.waiting.length > 0) return;
    const { ring } = this.#classes[rankOf(entry)]!;
    ring.splice(ring.indexOf(queue), 1);
  }

  #queueOf({ priority, job }: Submission<Item>): JobQueue<Item, Result> {
    const key = `${priority} ${job}`;
    const known = this.#queues.get(key);
    if (known) return known;
    const queue = { key, waiting: [], creditMs: 0, inFlight: 0 };
    this.#queues.set(key, queue);
    return queue;
  }

  #forgetIdle(queue: JobQueue<Item, Result>): void {
    if (queue.waiting.length === 0 && queue.inFlight === 0) this.#queues.delete(queue.key);
  }

  #costOf({ model, pixels }: Entry<Item, Result>): number {
    return pixels * (this.#costs.get(model) ?? FIRST_GUESS_MS);
  }
}

const rankOf = ({ priority }: { readonly priority: Priority }): number => PRIORITIES.indexOf(priority);
