import type { Trainee } from '../engine.js';
import type { TrainingBatch } from './trainer.js';

export interface RangeTestOptions {
  /** First and last learning rate; between them it grows by the same factor at each step. */
  readonly low: number;
  readonly high: number;
  readonly steps: number;
  readonly batch: (index: number) => Promise<TrainingBatch>;
  readonly signal: AbortSignal;
}

export interface RangePoint {
  readonly learningRate: number;
  readonly loss: number;
  /** Exponential mean of the losses so far. */
  readonly smoothed: number;
}

export interface RangeTest {
  readonly points: readonly RangePoint[];
  /** The first step at which the smoothed loss was not finite, or several times its least; or null. */
  readonly diverged: number | null;
  /** Where the smoothed loss falls fastest by the logarithm of the rate; null where it never falls. */
  readonly suggestion: number | null;
}

const SMOOTHING = 0.9;
const DIVERGED = 4;
/** Steps at the start whose losses are not smooth yet. */
const SETTLING = 10;

/**
 * The learning-rate range test (Smith 2017): one step at each rate. The network is changed by it; the
 * caller restores it.
 */
export async function* rangeTest(
  trainee: Trainee,
  { low, high, steps, batch, signal }: RangeTestOptions,
): AsyncGenerator<RangePoint, RangeTest> {
  const points: RangePoint[] = [];
  let mean = 0;
  let least = Number.POSITIVE_INFINITY;
  let diverged: number | null = null;
  for (let step = 0; step < steps; step++) {
    signal.throwIfAborted();
    const learningRate = low * (high / low) ** (step / Math.max(1, steps - 1));
    const loss = await trainee.step(await batch(step), { learningRate });
    mean = SMOOTHING * mean + (1 - SMOOTHING) * loss;
    const smoothed = mean / (1 - SMOOTHING ** (step + 1));
    points.push({ learningRate, loss, smoothed });
    yield points.at(-1)!;
    least = Math.min(least, smoothed);
    if (!Number.isFinite(smoothed) || smoothed > DIVERGED * least) {
      diverged = step;
      break;
    }
  }
  return { points, diverged, suggestion: steepest(points) };
}

/** The rate at the steepest fall, by central differences over the points that have settled. */
function steepest(points: readonly RangePoint[]): number | null {
  let found: number | null = null;
  let slope = 0;
  const settled = Math.min(SETTLING, Math.floor(points.length / 4));
  for (let i = Math.max(1, settled); i + 1 < points.length; i++) {
    const fall = (points[i + 1]!.smoothed - points[i - 1]!.smoothed) / 2;
    if (fall < slope) [slope, found] = [fall, points[i]!.learningRate];
  }
  return found;
}
