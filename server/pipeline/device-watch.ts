import type { Engine } from '../../model/engine/engine.js';
import type { RunningBatch } from '../../model/scheduler/device-lanes.js';

/** The limit of a batch in ms, or this many times its expected duration, whichever is longer. Default 60 s and 20. */
export interface HungAfter {
  readonly batchMs: number;
  readonly batchFactor: number;
}
export const HUNG_AFTER: HungAfter = { batchMs: 60_000, batchFactor: 20 };

/** Until when a batch is not hung, in ms from its start. */
export const batchLimit = ({ batchMs, batchFactor }: HungAfter, expectedMs: number): number =>
  Math.max(batchMs, batchFactor * expectedMs);

/** Interval in which batches are checked against their limits, in ms. */
const WATCH_MS = 1000;

/** Ends devices whose batches exceed their limits: their tiles are computed by others, or once they are back. */
export class DeviceWatch {
  readonly #timer: NodeJS.Timeout | null;

  constructor(
    private readonly engine: Pick<Engine, 'hasDevices' | 'endDevice'>,
    private readonly batches: { readonly running: readonly RunningBatch[] },
    private readonly hungAfter: HungAfter = HUNG_AFTER,
  ) {
    // threads of this process cannot be ended alone: who started it watches them
    this.#timer = engine.hasDevices ? setInterval(() => this.#check(), WATCH_MS).unref() : null;
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
  }

  #check(): void {
    const now = performance.now();
    for (const { lane, since, expectedMs } of this.batches.running) {
      const limitMs = batchLimit(this.hungAfter, expectedMs);
      if (now - since <= limitMs) continue;
      const reason = `a batch took longer than ${Math.round(limitMs / 1000)} s: it hung`;
      void this.engine.endDevice(lane, reason);
    }
  }
}
