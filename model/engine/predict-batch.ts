import type { TileBatch } from '../network/frozen.js';
import type { OutputKind } from '../network/output-kind.js';
import type { Ticket } from './ticket.js';

export interface PredictOptions {
  /** Average over the eight symmetries of the square. Default false. */
  readonly symmetries?: boolean;
  /** Of two classes: the least probability of label 1, from 0 to 1. Default null: the more probable label. */
  readonly threshold?: number | null;
  /** Allows the batch to be revoked until it begins. Default null: it cannot be, as none that devices compute. */
  readonly ticket?: Ticket | null;
  /** The lane that computes it, from 0. Default the first. */
  readonly lane?: number;
  /** Threads that compute it. Default all of the lane's device. */
  readonly threads?: number;
}

/** Computes a batch of a model. */
export type PredictBatch = (
  batch: TileBatch,
  output: OutputKind,
  options: PredictOptions,
) => Promise<Uint8Array | Float32Array>;
