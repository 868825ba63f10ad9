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
  /** Where the loss falls fastest by the logarithm of the rate; null where it never falls. */
  readonly suggestion: number | null;
}

const SMOOTHING = 0.9;
const DIVERGED = 4;
/** Steps at the start whose losses say little: the optimiser has no moments yet. */
const SETTLING = 5;
/** Steps on either side of one, through whose losses a line is laid. */
const AROUND = 5;

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

/**
 * The rate at the steepest fall: of the straight line through the losses of some steps on either side. A
 * mean of the steps before would lag behind, and suggest a rate that is too high.
 */
function steepest(points: readonly RangePoint[]): number | null {
  const settled = Math.min(SETTLING, Math.floor(points.length / 4));
  let found: number | null = null;
  let least = 0;
  for (let i = settled + AROUND; i + AROUND < points.length; i++) {
    let slope = 0;
    for (let k = -AROUND; k <= AROUND; k++) slope += k * points[i + k]!.loss;
    if (slope < least) [least, found] = [slope, points[i]!.learningRate];
  }
  return found;
}
