import type { LaneUse } from '../compute-choice.js';

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

/** A batch that was handed to a lane. */
export interface LaneBatch {
  readonly place: Place;
  /** When it was handed over, in ms of the clock. */
  readonly startedAt: number;
  /** How long it should run, in ms. */
  readonly expectedMs: number;
}

/** A batch that runs: where, since when, and how long it should take, in ms. */
export interface RunningBatch {
  readonly lane: number;
  readonly since: number;
  readonly expectedMs: number;
}

interface Lane<Batch> {
  /** Whether it takes no batches at present. */
  isClosed: boolean;
  /** The batch that runs, and the one that is ready behind it. */
  readonly batches: Batch[];
  lastEnd: number;
}

/**
 * The lanes of a device: the batch that runs in each, and the one that is ready behind it. Running batches never take
 * more threads together than the device has; a ready one takes no more than the one that it follows.
 */
export class DeviceLanes<Batch extends LaneBatch> {
  readonly #lanes: readonly Lane<Batch>[];

  /** @param threads of the device, at least 1; there is at most one lane for each */
  constructor(private readonly threads: number) {
    this.#lanes = Array.from({ length: threads }, () => {
      return { isClosed: false, batches: [], lastEnd: Number.NEGATIVE_INFINITY };
    });
  }

  /** The batches that run. */
  get running(): readonly RunningBatch[] {
    return this.#lanes.flatMap((lane) => (lane.batches.length > 0 ? [runningIn(lane)] : []));
  }

  /** The batches that are ready behind others. */
  get ready(): readonly Batch[] {
    return this.#lanes.flatMap(({ batches: [, ready] }) => (ready ? [ready] : []));
  }

  /**
   * Where the next batch goes now; null where it has to wait.
   * @param waiting items, those of the batch included
   */
  placeFor({ lanes, threads: each, canTakeAll }: DeviceUse, waiting: number): Place | null {
    const all = this.threads;
    const takesAll = canTakeAll && waiting < lanes;
    if (takesAll && this.#freeThreads === all && !this.#lanes[0]!.isClosed) return { lane: 0, threads: all };
    const behind = (threads: number) => {
      const lane = this.#laneToFollow({ lanes, threads }, ({ batches }) => batches.length === 1);
      return lane === null ? null : { lane, threads };
    };
    const idle = this.#idleLane({ lanes, threads: each });
    if (idle !== null) return { lane: idle, threads: each };
    return (takesAll ? behind(all) : null) ?? behind(each);
  }

  /** Whether a batch could run at once, in a lane without another one. */
  hasIdleLane(use: LaneUse): boolean {
    return this.#idleLane(use) !== null;
  }

  /** Of the ready batches that match and follow one of enough threads, the one that should begin first; null if none. */
  firstReady(use: LaneUse, matches: (ready: Batch) => boolean): Batch | null {
    const lane = this.#laneToFollow(use, ({ batches: [, ready] }) => ready !== undefined && matches(ready));
    return lane === null ? null : this.#lanes[lane]!.batches[1]!;
  }

  /** The batch that runs in a lane, and the one that is ready. */
  batchesOf(lane: number): readonly Batch[] {
    return this.#lanes[lane]!.batches;
  }

  /** Gives a lane no more batches until it is opened. */
  close(lane: number): void {
    this.#lanes[lane]!.isClosed = true;
  }

  open(lane: number): void {
    this.#lanes[lane]!.isClosed = false;
  }

  /** Adds a batch behind those of its lane. */
  add(batch: Batch): void {
    this.#lanes[batch.place.lane]!.batches.push(batch);
  }

  /** Removes a batch that has not begun. */
  remove(batch: Batch): void {
    const { batches } = this.#lanes[batch.place.lane]!;
    batches.splice(batches.indexOf(batch), 1);
  }

  /** Removes a batch that has ended at `now`; returns when it began, or null where it was removed before. */
  end(batch: Batch, now: number): number | null {
    const lane = this.#lanes[batch.place.lane]!;
    if (!lane.batches.includes(batch)) return null;
    const began = Math.max(batch.startedAt, lane.lastEnd);
    lane.lastEnd = now;
    this.remove(batch);
    return began;
  }

  /** The first of the lanes that are not closed, as many as an item may take. */
  #usable(lanes: number): readonly number[] {
    return this.#lanes.flatMap(({ isClosed }, index) => (isClosed ? [] : [index])).slice(0, lanes);
  }

  /** Threads that no batch takes. */
  get #freeThreads(): number {
    const used = this.#lanes.reduce((sum, { batches: [first] }) => sum + (first?.place.threads ?? 0), 0);
    return this.threads - used;
  }

  /** The first of this many lanes that is idle; null where none is, or this many threads are not free. */
  #idleLane({ lanes, threads }: LaneUse): number | null {
    if (this.#freeThreads < threads) return null;
    return this.#usable(lanes).find((index) => this.#lanes[index]!.batches.length === 0) ?? null;
  }

  /** Of the lanes whose running batch one of this many threads may follow, the one that should be free first. */
  #laneToFollow({ lanes, threads }: LaneUse, fits: (lane: Lane<Batch>) => boolean): number | null {
    const candidates = this.#usable(lanes).flatMap((index) => {
      const lane = this.#lanes[index]!;
      const [running] = lane.batches;
      if (!running || running.place.threads < threads || !fits(lane)) return [];
      const { since, expectedMs } = runningIn(lane);
      return [{ index, end: since + expectedMs }];
    });
    return candidates.sort((a, b) => a.end - b.end)[0]?.index ?? null;
  }
}

function runningIn<Batch extends LaneBatch>({ batches: [batch], lastEnd }: Lane<Batch>): RunningBatch {
  const { place, startedAt, expectedMs } = batch!;
  return { lane: place.lane, since: Math.max(startedAt, lastEnd), expectedMs };
}
