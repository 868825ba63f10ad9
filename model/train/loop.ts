import type { Trainee } from '../engine.js';
import type { TrainingBatch } from './trainer.js';

/** How far a training is; what a checkpoint keeps besides the network's and the optimiser's state. */
export interface Progress {
  /** Epochs that are done. */
  readonly epoch: number;
  /** Steps of the optimiser that are done in the epoch after them. */
  readonly step: number;
  /** Sum of those steps' losses. */
  readonly lossSum: number;
  readonly best: { readonly epoch: number; readonly error: number } | null;
  /** Time spent, in s. */
  readonly seconds: number;
}

export const BEGINNING: Progress = { epoch: 0, step: 0, lossSum: 0, best: null, seconds: 0 };

export interface Validation {
  /** What the best network has least of. */
  readonly error: number;
  /** What is minimised in training, of the images for validation. */
  readonly loss: number;
  readonly scores: Readonly<Record<string, number>>;
}

export interface LoopOptions {
  readonly epochs: number;
  /** Steps of the optimiser in an epoch. */
  readonly epochSteps: number;
  /** Batches whose gradients are averaged for a step. */
  readonly accumulate: number;
  /** Ends the training once so many epochs in a row brought nothing better; null for never. */
  readonly patience: number | null;
  /** The learning rate of a step, counted from 0 over the whole training. */
  readonly learningRate: (step: number) => number;
  /** A batch of an epoch, both counted from 0; asked for while the step before it runs. */
  readonly batch: (epoch: number, index: number) => Promise<TrainingBatch>;
  readonly validate: () => Promise<Validation>;
  /** Keeps the network as the best so far. */
  readonly keepBest: (progress: Progress, validation: Validation) => Promise<void>;
  /** Writes a checkpoint. */
  readonly save: (progress: Progress) => Promise<void>;
  readonly from: Progress;
  /** When it aborts, the training writes a checkpoint after its step, and ends. */
  readonly signal: AbortSignal;
  readonly now: () => number;
}

export type TrainEvent =
  | {
      readonly type: 'step';
      readonly epoch: number;
      readonly step: number;
      /** Mean of the batches' losses. */
      readonly loss: number;
      readonly learningRate: number;
      /** Network input px of the step. */
      readonly pixels: number;
      readonly durationMs: number;
    }
  | {
      readonly type: 'epoch';
      /** Epochs that are done. */
      readonly epoch: number;
      /** Mean over its steps. */
      readonly loss: number;
      readonly validation: Validation;
      readonly best: boolean;
      readonly seconds: number;
    }
  | {
      readonly type: 'end';
      readonly why: 'finished' | 'patience' | 'interrupted';
      readonly progress: Progress;
    };

/** Trains from a state, and yields what happens. */
export async function* train(trainee: Trainee, options: LoopOptions): AsyncGenerator<TrainEvent> {
  const { epochs, epochSteps, accumulate, patience, batch, save, signal, now } = options;
  const began = now() - options.from.seconds * 1000;
  let progress = options.from;
  const advance = (change: Partial<Progress>) => {
    progress = { ...progress, ...change, seconds: (now() - began) / 1000 };
  };
  const stale = () =>
    patience !== null && progress.best !== null && progress.epoch - progress.best.epoch >= patience;

  while (progress.epoch < epochs && !stale()) {
    const { epoch } = progress;
    const ahead = new Lookahead(
      (index) => batch(epoch, index),
      epochSteps * accumulate,
      progress.step * accumulate,
    );
    for (let step = progress.step; step < epochSteps; step++) {
      if (signal.aborted) {
        await save(progress);
        yield { type: 'end', why: 'interrupted', progress };
        return;
      }
      const learningRate = options.learningRate(epoch * epochSteps + step);
      let [loss, pixels, durationMs] = [0, 0, 0];
      for (let part = 1; part <= accumulate; part++) {
        const next = await ahead.next();
        const started = now();
        pixels += next.count * next.side ** 2;
        const stepping = trainee.step(next, { learningRate, apply: part === accumulate });
        ahead.prepare();
        loss += (await stepping) / accumulate;
        durationMs += now() - started;
      }
      advance({ step: step + 1, lossSum: progress.lossSum + loss });
      yield { type: 'step', epoch, step, loss, learningRate, pixels, durationMs };
    }
    const validation = await options.validate();
    const best = progress.best === null || isLess(validation.error, progress.best.error);
    const loss = progress.lossSum / epochSteps;
    advance({ epoch: epoch + 1, step: 0, lossSum: 0 });
    if (best) {
      advance({ best: { epoch: epoch + 1, error: validation.error } });
      await options.keepBest(progress, validation);
    }
    yield { type: 'epoch', epoch: epoch + 1, loss, validation, best, seconds: progress.seconds };
    await save(progress);
  }
  yield { type: 'end', why: progress.epoch < epochs ? 'patience' : 'finished', progress };
}

/** A number is less than none: a checkpoint has null for what was none. */
const isLess = (error: number, least: number | null): boolean =>
  Number.isFinite(error) && (!Number.isFinite(least) || error < least!);

/** Prepares one batch while another is trained on. */
class Lookahead {
  #waiting: Promise<TrainingBatch> | null = null;

  constructor(
    private readonly read: (index: number) => Promise<TrainingBatch>,
    private readonly end: number,
    private index: number,
  ) {}

  prepare(): void {
    if (this.#waiting !== null || this.index >= this.end) return;
    this.#waiting = this.read(this.index++);
    this.#waiting.catch(() => undefined); // whoever asks for it next is told
  }

  next(): Promise<TrainingBatch> {
    this.prepare();
    const batch = this.#waiting!;
    this.#waiting = null;
    return batch;
  }
}
