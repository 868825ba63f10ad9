import { ModelCosts } from './model-costs.js';

/** An item that waits for a batch. */
export interface Waiting {
  /** Only items of one group share a batch. */
  readonly group: string;
  /** Items of one model cost the same per px. */
  readonly model: string;
  readonly job: string;
  /** Index of its priority class; 0 is the most urgent. */
  readonly rank: number;
  /** Px that the device computes for it. */
  readonly pixels: number;
  /** When it was submitted, in ms of the clock. */
  readonly since: number;
}

export interface QueuePolicy<Item> {
  /** Priority classes, at least 1, such as 3. */
  readonly classes: number;
  /** How long an item may wait for others to join its batch, in ms; 0 waits for none. */
  readonly maxDelayMs: number;
  /** A class that has waited this long leads the next batch, whatever else is waiting; in ms. */
  readonly agingMs: number;
  /** The most items of a batch that this one leads, at least 1. */
  readonly maxBatch: (item: Item) => number;
  readonly now: () => number;
}

/** Items that were taken from their queues to run together. */
export interface Selection<Item> {
  readonly items: readonly Item[];
  /** What each item's job was charged for it, in ms of one thread. */
  readonly chargesMs: readonly number[];
  /** The class that leads the batch. */
  readonly rank: number;
  /** Whether that class had waited for `agingMs`: then nothing more urgent takes the batch's place. */
  readonly isAged: boolean;
  /** What the class's `unservedSince` was before this batch. */
  readonly unservedBefore: number;
}

/** The waiting items of one job in one class, in order of arrival, and the job's share of the device. */
interface JobQueue<Item> {
  readonly waiting: Item[];
  /**
   * The deficit counter: ms of one thread that the job is due; negative where it has used more than its share. It is
   * less than the cost of the job's next item plus a quantum, and is dropped once the job has no items left.
   */
  creditMs: number;
  inFlight: number;
}

interface PriorityClass<Item> {
  /** The jobs with waiting items, in order of their turns. */
  readonly ring: JobQueue<Item>[];
  /** When the class last led a batch, or began to wait. */
  unservedSince: number;
}

/** The turn of a job, whose first item leads the next batch. */
export interface Turn<Item> {
  readonly first: Item;
  /** The jobs whose turn it could be, and what each of them is granted before it, in ms of one thread. */
  readonly due: ReadonlySet<JobQueue<Item>>;
  readonly grantMs: number;
}

/** What each job of a class is granted in a round, in ms of one thread. */
const QUANTUM_MS = 10;

/**
 * Decides whose items run next: a queue per job, batches across jobs.
 *
 * The most urgent class with waiting items leads the next batch, unless a less urgent one has waited for `agingMs`.
 * Within a class, jobs take turns by deficit round-robin (Shreedhar and Varghese 1996): each is granted the same
 * time of its threads, and pays for its items by px × the model's measured cost, corrected when the batch has run.
 * Free places in a batch go to other jobs' items of its group, which pay as well.
 */
export class JobQueues<Item extends Waiting> {
  readonly #queues = new Map<string, JobQueue<Item>>();
  readonly #classes: readonly PriorityClass<Item>[];
  readonly #costs = new ModelCosts();

  constructor(private readonly policy: QueuePolicy<Item>) {
    this.#classes = Array.from({ length: policy.classes }, () => ({ ring: [], unservedSince: 0 }));
  }

  /** Waiting items. */
  get depth(): number {
    return this.#classes.flatMap(({ ring }) => ring).reduce((sum, { waiting }) => sum + waiting.length, 0);
  }

  /** What waits, in no particular order. */
  get waiting(): readonly Item[] {
    return this.#classes.flatMap(({ ring }) => ring.flatMap(({ waiting }) => waiting));
  }

  add(item: Item): void {
    this.#enter(item, 'last');
  }

  /** Removes a waiting item; false where it is not waiting. */
  remove(item: Item): boolean {
    if (!this.#queues.get(keyOf(item))?.waiting.includes(item)) return false;
    this.#leave(item);
    this.#forgetIdle(item);
    return true;
  }

  /** Whose turn it is, or in how many ms one will be due; null where nothing waits. Nothing changes until `take`. */
  next(): Turn<Item> | { readonly dueInMs: number } | null {
    const rank = this.#nextClass();
    if (rank === null) return null;
    const { ring } = this.#classes[rank]!;
    const { now, maxDelayMs } = this.policy;
    const dueInMs = ({ waiting: [first] }: JobQueue<Item>): number =>
      this.#isFull(first!) ? 0 : first!.since + maxDelayMs - now();
    const due = ring.filter((queue) => dueInMs(queue) <= 0);
    // Nothing less urgent goes first: this class gets the device within `maxDelayMs`.
    if (due.length === 0) return { dueInMs: Math.min(...ring.map(dueInMs)) };
    return this.#nextTurn(ring, new Set(due));
  }

  /**
   * Takes the batch that an item leads whose turn it is now: one item of each job in turn, of its group. Charges the
   * jobs.
   *
   * @param lanes that share the group's waiting items: the batch takes its part of them
   */
  take({ first, due, grantMs }: Turn<Item>, lanes = 1): Selection<Item> {
    const limit = Math.min(this.policy.maxBatch(first), Math.ceil(this.#waitingOf(first) / lanes));
    const { rank } = first;
    const leading = this.#classes[rank]!;
    for (const queue of due) queue.creditMs += grantMs;
    const passed = leading.ring.splice(0, leading.ring.indexOf(this.#queueOf(first)));
    leading.ring.push(...passed);
    const others = this.#classes.filter((other) => other !== leading);
    const sharing = [leading, ...others]
      .flatMap(({ ring }) => ring)
      .map(({ waiting }) => waiting.filter(({ group }) => group === first.group));
    const items: Item[] = [];
    for (let round = 0; items.length < limit; round++) {
      const turn = sharing.flatMap((waiting) => waiting[round] ?? []);
      if (turn.length === 0) break;
      items.push(...turn.slice(0, limit - items.length));
    }
    const chargesMs = items.map((item) => this.#costOf(item));
    for (const [i, item] of items.entries()) {
      const queue = this.#queueOf(item);
      queue.creditMs -= chargesMs[i]!;
      queue.inFlight++;
      this.#leave(item);
    }
    const [isAged, unservedBefore] = [this.#isAged(rank), leading.unservedSince];
    leading.unservedSince = this.policy.now();
    return { items, chargesMs, rank, isAged, unservedBefore };
  }

  /** Returns a batch that did not run to the front of its queues, as if it had never been taken. */
  restore({ items, chargesMs, rank, unservedBefore }: Selection<Item>): void {
    for (const [i, item] of [...items.entries()].reverse()) {
      const queue = this.#queueOf(item);
      queue.inFlight--;
      queue.creditMs += chargesMs[i]!;
      this.#enter(item, 'first');
    }
    this.#classes[rank]!.unservedSince = unservedBefore;
  }

  /**
   * Settles a batch that has ended: corrects what its jobs were charged.
   * @param spentMs its time × its threads; null where the batch failed, which says nothing about its cost
   */
  settle({ items, chargesMs }: Selection<Item>, spentMs: number | null): void {
    const pixels = items.reduce((sum, item) => sum + item.pixels, 0);
    if (spentMs !== null) this.#costs.learn(items[0]!.model, pixels, spentMs);
    for (const [i, item] of items.entries()) {
      const queue = this.#queueOf(item);
      if (spentMs !== null) queue.creditMs += chargesMs[i]! - (spentMs * item.pixels) / pixels;
      queue.inFlight--;
      this.#forgetIdle(item);
    }
  }

  /** The class that leads the next batch: one that has aged, or else the most urgent. */
  #nextClass(): number | null {
    const waiting = this.#classes.flatMap(({ ring }, rank) => (ring.length > 0 ? [rank] : []));
    const since = (rank: number) => this.#classes[rank]!.unservedSince;
    const [longest] = [...waiting].sort((a, b) => since(a) - since(b));
    if (longest === undefined) return null;
    return this.#isAged(longest) ? longest : waiting[0]!;
  }

  #isAged(rank: number): boolean {
    return this.policy.now() - this.#classes[rank]!.unservedSince >= this.policy.agingMs;
  }

  /**
   * Deficit round-robin: the first job that can pay for its next item. Where none can, all that are due are granted as
   * many rounds at once as it takes until one can.
   */
  #nextTurn(ring: readonly JobQueue<Item>[], due: ReadonlySet<JobQueue<Item>>): Turn<Item> {
    const missing = ({ waiting, creditMs }: JobQueue<Item>) => this.#costOf(waiting[0]!) - creditMs;
    const rounds = Math.max(0, Math.ceil(Math.min(...[...due].map(missing)) / QUANTUM_MS));
    const grantMs = rounds * QUANTUM_MS;
    const job = ring.find((queue) => due.has(queue) && missing(queue) <= grantMs)!;
    return { first: job.waiting[0]!, due, grantMs };
  }

  /** Whether the batch that this item leads has no free place. */
  #isFull(first: Item): boolean {
    return this.#waitingOf(first) >= this.policy.maxBatch(first);
  }

  /** Waiting items of an item's group. */
  #waitingOf({ group }: Item): number {
    let count = 0;
    for (const { ring } of this.#classes) {
      for (const { waiting } of ring) for (const item of waiting) if (item.group === group) count++;
    }
    return count;
  }

  #enter(item: Item, place: 'first' | 'last'): void {
    const priorityClass = this.#classes[item.rank]!;
    const { ring } = priorityClass;
    const queue = this.#queueOf(item);
    if (ring.length === 0) priorityClass.unservedSince = item.since;
    if (place === 'first') queue.waiting.unshift(item);
    else queue.waiting.push(item);
    if (ring.includes(queue)) return;
    if (place === 'first') ring.unshift(queue);
    else ring.push(queue);
  }

  #leave(item: Item): void {
    const queue = this.#queueOf(item);
    queue.waiting.splice(queue.waiting.indexOf(item), 1);
    if (queue.waiting.length > 0) return;
    const { ring } = this.#classes[item.rank]!;
    ring.splice(ring.indexOf(queue), 1);
  }

  #queueOf(item: Item): JobQueue<Item> {
    const key = keyOf(item);
    const known = this.#queues.get(key);
    if (known) return known;
    const queue = { waiting: [], creditMs: 0, inFlight: 0 };
    this.#queues.set(key, queue);
    return queue;
  }

  #forgetIdle(item: Item): void {
    const { waiting, inFlight } = this.#queueOf(item);
    if (waiting.length === 0 && inFlight === 0) this.#queues.delete(keyOf(item));
  }

  #costOf({ model, pixels }: Item): number {
    return this.#costs.estimate(model, pixels);
  }
}

const keyOf = ({ rank, job }: Waiting): string => `${rank} ${job}`;
