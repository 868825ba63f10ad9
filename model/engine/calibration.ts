import type { TileBatch } from '../network/frozen.js';
import type { Ranges } from '../quantisation/ranges.js';
import type { Lane } from './lane.js';

/** A search for the ranges of a model's feature maps, as the engine's caller sees it. */
export class Calibration {
  constructor(private readonly lane: Lane) {}

  /** Widens the ranges to the values of a batch. Its pixels are transferred. */
  observe(batch: TileBatch): Promise<void> {
    return this.lane.callLimited('observe', [batch], { transfer: [batch.data.buffer as ArrayBuffer] });
  }

  /** Ends the search; at least one batch must have been observed. */
  ranges(): Promise<Ranges> {
    return this.lane.callLimited('ranges', []);
  }
}
