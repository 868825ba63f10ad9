import { z } from 'zod';
import type { Trainee } from '../engine/trainee.js';
import type { TrainingBatch } from './batch.js';

/** JSON writes null for NaN and infinities, such as the loss of a training that diverged. */
const number = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);

const count = z.int().min(0);

/** Where a training stands: what a checkpoint holds besides the state of the network and its optimiser. */
export const loopStateSchema = z.object({
  /** Epochs completed. */
  epoch: count,
  /** Optimiser steps completed in the current epoch. */
  step: count,
  /** Sum of the losses of those steps. */
  lossSum: number,
  /** The epoch of the best network, counted from 1, and its error; null before the first validation. */
  best: z.object({ epoch: z.int().min(1), error: number }).nullable(),
  /** Time spent training, in s. */
  seconds: z.number(),
});

export type LoopState = Readonly<z.infer<typeof loopStateSchema>>;

export const INITIAL_STATE: LoopState = { epoch: 0, step: 0, lossSum: 0, best: null, seconds: 0 };

export interface Validation {
  /** What the best network minimises. */
  readonly error: number;
  /** The training loss over the validation images. */
  readonly loss: number;
  readonly scores: Readonly<Record<string, number>>;
}

export interface LoopOptions {
  /** Epochs at most, at least 1. */
  readonly epochs: number;
  /** Optimiser steps in an epoch, at least 1. */
  readonly epochSteps: number;
  /** Batches whose gradients are averaged into one step, at least 1. */
  readonly accumulate: number;
  /** Early stopping: ends the training after this many epochs without a better network; null for never. */
  readonly patience: number | null;
  /** The learning rate of a step, counted from 0 over the whole training. */
  readonly learningRate: (step: number) => number;
  /** A batch of an epoch, both counted from 0; prefetched while the previous one is trained on. */
  readonly batch: (epoch: number, index: number) => Promise<TrainingBatch>;
  readonly validate: () => Promise<Validation>;
  /** Saves the network as the best so far. */
  readonly saveBest: (state: LoopState, validation: Validation) => Promise<void>;
  /** Writes a checkpoint. */
  readonly saveCheckpoint: (state: LoopState) => Promise<void>;
  readonly from: LoopState;
  /** When it aborts, the training writes a checkpoint after the current step, and ends. */
  readonly signal: AbortSignal;
  /** A clock in ms. */
  readonly now: () => number;
}

export type TrainEvent =
  | {
      readonly type: 'step';
      /** The current epoch and the step in it, both counted from 0. */
      readonly epoch: number;
      readonly step: number;
      /** Mean over the step's batches. */
      readonly loss: number;
      readonly learningRate: number;
      /** Input px of the step's crops. */
      readonly pixels: number;
      readonly durationMs: number;
    }
  | {
      readonly type: 'epoch';
      /** Epochs completed. */
      readonly epoch: number;
      /** Mean over the epoch's steps. */
      readonly loss: number;
      readonly validation: Validation;
      /** Whether this is the best network so far. */
      readonly best: boolean;
      readonly seconds: number;
    }
  | {
      readonly type: 'end';
      readonly reason: 'finished' | 'early-stopped' | 'interrupted';
      readonly state: LoopState;
    };

/** Trains epoch by epoch, validates after each, and yields what happens. */
export async function* train(trainee: Trainee, options: LoopOptions): AsyncGenerator<TrainEvent> {
  const { epochs, epochSteps, accumulate, patience, signal, now } = options;
  const startedAt = now() - options.from.seconds * 1000;
  let state = options.from;
  const advance = (change: Partial<LoopState>) => {
    state = { ...state, ...change, seconds: (now() - startedAt) / 1000 };
  };
  const isExhausted = () =>
    patience !== null && state.best !== null && state.epoch - state.best.epoch >= patience;

  while (state.epoch < epochs && !isExhausted()) {
    const { epoch } = state;
    const batches = new Prefetcher(
      (index) => options.batch(epoch, index),
      state.step * accumulate,
      epochSteps * accumulate,
    );
    for (let step = state.step; step < epochSteps; step++) {
      if (signal.aborted) {
        await options.saveCheckpoint(state);
        yield { type: 'end', reason: 'interrupted', state };
        return;
      }
      const learningRate = options.learningRate(epoch * epochSteps + step);
      let [loss, pixels, durationMs] = [0, 0, 0];
      for (let part = 1; part <= accumulate; part++) {
        const batch = await batches.next();
        const startedStepAt = now();
        pixels += batch.count * batch.side ** 2;
        const stepping = trainee.step(batch, { learningRate, apply: part === accumulate });
        batches.prefetch();
        loss += (await stepping) / accumulate;
        durationMs += now() - startedStepAt;
      }
      advance({ step: step + 1, lossSum: state.lossSum + loss });
      yield { type: 'step', epoch, step, loss, learningRate, pixels, durationMs };
    }
    const validation = await options.validate();
    const best = state.best === null || isBetter(validation.error, state.best.error);
    const loss = state.lossSum / epochSteps;
    advance({ epoch: epoch + 1, step: 0, lossSum: 0 });
    if (best) {
      advance({ best: { epoch: epoch + 1, error: validation.error } });
      await options.saveBest(state, validation);
    }
    yield { type: 'epoch', epoch: epoch + 1, loss, validation, best, seconds: state.seconds };
    await options.saveCheckpoint(state);
  }
  yield { type: 'end', reason: state.epoch < epochs ? 'early-stopped' : 'finished', state };
}

/** Any finite error is better than NaN or infinity. */
const isBetter = (error: number, best: number): boolean =>
  Number.isFinite(error) && (!Number.isFinite(best) || error < best);

/** Reads batches in order, one ahead at most. */
class Prefetcher {
  #pending: Promise<TrainingBatch> | null = null;

  constructor(
    private readonly read: (index: number) => Promise<TrainingBatch>,
    private index: number,
    private readonly end: number,
  ) {}

  prefetch(): void {
    if (this.#pending !== null || this.index >= this.end) return;
    this.#pending = this.read(this.index++);
    this.#pending.catch(() => undefined); // `next` rejects with it
  }

  next(): Promise<TrainingBatch> {
    this.prefetch();
    const batch = this.#pending!;
    this.#pending = null;
    return batch;
  }
}
