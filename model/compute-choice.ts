/** How a model is computed on a device: what results depend on only where tiles are not exact, besides time and memory. */
export interface ComputeChoice {
  /** The side in px of the output that tiles of `auto` aim at, such as 640. */
  readonly tile: number;
  /** Px of a batch of several tiles, at most; a tile that is larger is a batch of its own. */
  readonly batch: number;
  /** Lanes that run its batches, at least 1; `lanes × threads` is at most the device's threads. */
  readonly lanes: number;
  /** Threads of a batch in a lane, at least 1. */
  readonly threads: number;
  /** Whether it was measured on this device; else it is the default. */
  readonly isMeasured: boolean;
}

/** Tiles of a batch, at most. */
export const MAX_BATCH = 16;

/** The part of a device that a model's batches take. */
export type LaneUse = Pick<ComputeChoice, 'lanes' | 'threads'>;

/** Such as `2 lanes of 1 thread`, or `2 threads` of a single one. */
export function laneText({ lanes, threads }: LaneUse): string {
  const each = threadText(threads);
  return lanes === 1 ? each : `${lanes} lanes of ${each}`;
}

/** Such as `1 thread`. */
export const threadText = (threads: number): string => (threads === 1 ? '1 thread' : `${threads} threads`);

/**
 * Lanes of a device, at most, where nothing else is known. Lanes of one thread are the fastest: there is no barrier
 * between operators, and a core's caches hold its own tile. But each takes a copy of the weights and the activations
 * of a tile, and all of them are supplied by one JavaScript thread.
 */
const MAX_LANES = 8;

/**
 * Divides a device's threads into lanes of as few threads as possible.
 *
 * @param threads of the device
 * @param most lanes at most, such as those that fit into memory
 */
export function divideThreads(threads: number, most: number = MAX_LANES): LaneUse {
  const each = Math.ceil(threads / Math.min(threads, most));
  return { lanes: Math.floor(threads / each), threads: each };
}
