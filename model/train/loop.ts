import type { Trainee } from '../engine.js';
import type { TrainingBatch } from './trainer.js';

export interface LoopOptions {
  /** Steps of the optimiser in all. */
  readonly steps: number;
  /** Steps between validations; the last step is validated too. */
  readonly validateEvery: number;
  /** The next batch; asked for while the step before it runs. */
  readonly nextBatch: () => Promise<TrainingBatch>;
  /** Scores the network as it stands; lower `error` is better. */
  readonly validate: () => Promise<{ readonly error: number; readonly scores: Record<string, number> }>;
  readonly signal: AbortSignal;
}

export type TrainEvent =
  | {
      readonly type: 'step';
      readonly step: number;
      /** Mean cross-entropy of the batch, in nats. */
      readonly loss: number;
      /** Network input px of the batch. */
      readonly pixels: number;
      readonly durationMs: number;
    }
  | {
      readonly type: 'validated';
      readonly step: number;
      readonly scores: Record<string, number>;
      /** No validation before was as good. */
      readonly best: boolean;
    };

/** Trains, and yields what happens. Ends early when `signal` aborts, with its reason thrown. */
export async function* train(trainee: Trainee, options: LoopOptions): AsyncGenerator<TrainEvent> {
  const { steps, validateEvery, nextBatch, validate, signal } = options;
  let best = Number.POSITIVE_INFINITY;
  let next = nextBatch();
  next.catch(() => undefined); // awaited at the head of the loop
  for (let step = 1; step <= steps; step++) {
    const batch = await next;
    signal.throwIfAborted();
    const started = performance.now();
    const pixels = batch.count * batch.side ** 2;
    const stepping = trainee.step(batch);
    if (step < steps) {
      next = nextBatch();
      next.catch(() => undefined);
    }
    yield { type: 'step', step, loss: await stepping, pixels, durationMs: performance.now() - started };
    if (step % validateEvery === 0 || step === steps) {
      const { error, scores } = await validate();
      yield { type: 'validated', step, scores, best: error < best };
      best = Math.min(best, error);
    }
  }
}
