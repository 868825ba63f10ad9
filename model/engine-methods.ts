import type { Card } from './card.js';
import type { Environment } from './environment.js';
import type { TileBatch } from './frozen.js';
import type { TileGeometry } from './geometry.js';
import type { LayerFacts } from './layers.js';
import type { OutputKind } from './output-kind.js';
import type { CallContext } from './rpc.js';
import type { Ticket } from './ticket.js';
import type { StepOptions, TrainerConfig, TrainingBatch } from './train/trainer.js';

/** A model that the engine has loaded. */
export interface LoadedModel {
  readonly id: number;
  readonly card: Card;
  readonly geometry: TileGeometry;
  /** SHA-256 of its layers and weights. */
  readonly digest: string;
}

export interface PredictRequest {
  /** The model's. */
  readonly id: number;
  readonly batch: TileBatch;
  readonly output: OutputKind;
  readonly symmetries: boolean;
  readonly threshold: number | null;
  readonly ticket: Ticket | null;
}

/** What a network is before its training. */
export interface TraineeFacts {
  readonly geometry: TileGeometry;
  readonly parameters: number;
}

/** What the engine's thread is called for: one call at a time, in the order of their arrival. */
export interface EngineMethods {
  environment(): Promise<Environment>;
  load(folder: string): Promise<LoadedModel>;
  /** The result is moved, not copied; empty where the ticket was revoked before the batch began. */
  predict(request: PredictRequest, context: CallContext): Promise<Uint8Array | Float32Array>;
  unload(id: number): Promise<void>;
  describe(folder: string): Promise<{ readonly card: Card; readonly layers: readonly LayerFacts[] }>;
  /** Builds a network to be trained; the one before is disposed of. */
  train(config: TrainerConfig): Promise<TraineeFacts>;
  /** One step; returns the loss. */
  step(batch: TrainingBatch, options: StepOptions): Promise<number>;
  /** Freezes a copy of the network as it stands, to be validated as it would be served; returns its id. */
  snapshot(): Promise<number>;
  saveModel(folder: string, card: Omit<Card, 'weights'>): Promise<Card>;
  saveState(path: string, extra: unknown): Promise<void>;
  loadState(path: string): Promise<unknown>;
  close(): Promise<void>;
}
