import type { Card } from '../shelf/card.js';
import type { TrainingBatch } from '../train/batch.js';
import type { StepOptions } from '../train/trainer.js';
import type { TraineeFacts } from './engine-methods.js';
import type { Lane } from './lane.js';

/** A network in training, as the engine's caller sees it. Calls reject with EngineLostError once its device is lost. */
export class Trainee {
  constructor(
    private readonly lane: Lane,
    readonly facts: TraineeFacts,
    private readonly newId: () => number,
  ) {}

  /** One step; returns the loss. The batch's pixels, labels and weights are transferred. */
  step(batch: TrainingBatch, options: StepOptions): Promise<number> {
    const transfer = [batch.pixels.buffer, batch.labels.buffer, batch.weights.buffer] as ArrayBuffer[];
    return this.lane.callLimited('step', [batch, options], { transfer });
  }

  /** Freezes a copy for validation, in the lane that trains; returns its id, for `Engine.predict` and `Engine.unload`. */
  async snapshot(): Promise<number> {
    const id = this.newId();
    await this.lane.callLimited('snapshot', [id]);
    return id;
  }

  /** Writes the network as a model folder. */
  saveModel(folder: string, card: Omit<Card, 'weights'>): Promise<Card> {
    return this.lane.callLimited('saveModel', [folder, card]);
  }

  /** Writes the state of the training, and `extra`, to a file: whole, or not at all. */
  saveState(path: string, extra: unknown): Promise<void> {
    return this.lane.callLimited('saveState', [path, extra]);
  }

  /**
   * Restores what `saveState` wrote; returns its `extra`.
   * @throws CheckpointError (by `code`)
   */
  loadState(path: string): Promise<unknown> {
    return this.lane.callLimited('loadState', [path]);
  }
}
