import type { Trainee } from '../engine/trainee.js';
import type { TrainingBatch } from './batch.js';

export interface RangeTestOptions {
  /** The first learning rate, such as 1e-5; it grows by the same factor at each step. */
  readonly low: number;
  /** The last learning rate, such as 0.1. */
  readonly high: number;
  /** At least 5. */
  readonly steps: number;
  readonly batch: (index: number) => Promise<TrainingBatch>;
  readonly signal: AbortSignal;
}

export interface RangePoint {
  readonly learningRate: number;
  readonly loss: number;
  /** Exponential moving average of the losses, corrected for its start. */
  readonly smoothed: number;
}

export interface RangeTest {
  readonly points: readonly RangePoint[];
  /** The step, from 0, at which the smoothed loss was not finite or four times its minimum; null if it never was. */
  readonly diverged: number | null;
  /** The rate at which the loss falls fastest, over the logarithm of the rate; null if it never falls. */
  readonly suggestion: number | null;
}

const SMOOTHING = 0.9;
/** The test stops once the smoothed loss is this many times its minimum. */
const DIVERGENCE = 4;
/** From a smoothed loss of this many times its minimum on, no rate is suggested. */
const LEAP = 2;
/** First steps that are ignored: the optimiser has no moments yet. */
const WARM_UP = 5;
/** Steps on either side of one whose losses a line is fitted through. */
const REACH = 5;

/** The learning-rate range test (Smith 2017): one step at each rate. It changes the network; the caller restores it. */
export async function* rangeTest(
  trainee: Trainee,
  { low, high, steps, batch, signal }: RangeTestOptions,
): AsyncGenerator<RangePoint, RangeTest> {
  const points: RangePoint[] = [];
  let mean = 0;
  let minimum = Number.POSITIVE_INFINITY;
  let diverged: number | null = null;
  for (let step = 0; step < steps; step++) {
    signal.throwIfAborted();
    const learningRate = low * (high / low) ** (step / Math.max(1, steps - 1));
    const loss = await trainee.step(await batch(step), { learningRate });
    mean = SMOOTHING * mean + (1 - SMOOTHING) * loss;
    const smoothed = mean / (1 - SMOOTHING ** (step + 1));
    points.push({ learningRate, loss, smoothed });
    yield points.at(-1)!;
    minimum = Math.min(minimum, smoothed);
    if (!Number.isFinite(smoothed) || smoothed > DIVERGENCE * minimum) {
      diverged = step;
      break;
    }
  }
  return { points, diverged, suggestion: steepestDescent(points) };
}

/**
 * The rate with the steepest descent, by a line fitted through the losses around each step. The moving average would
 * lag behind, and suggest too high a rate. It says where to look, though: in front of where it leaps. There, a rate is too
 * high, and what is steepest is the fall from the leap.
 */
function steepestDescent(points: readonly RangePoint[]): number | null {
  const first = Math.min(WARM_UP, Math.floor(points.length / 4));
  let suggestion: number | null = null;
  let lowest = 0;
  const end = leapOf(points, first);
  for (let i = first + REACH; i + REACH < end; i++) {
    let slope = 0;
    for (let k = -REACH; k <= REACH; k++) slope += k * points[i + k]!.loss;
    if (slope < lowest) [lowest, suggestion] = [slope, points[i]!.learningRate];
  }
  return suggestion;
}

/** The first step at which the smoothed loss has leapt, or the number of steps. @param first whose loss is smooth enough */
function leapOf(points: readonly RangePoint[], first: number): number {
  let minimum = Number.POSITIVE_INFINITY;
  for (let i = first; i < points.length; i++) {
    const { smoothed } = points[i]!;
    if (!(smoothed <= LEAP * minimum)) return i;
    minimum = Math.min(minimum, smoothed);
  }
  return points.length;
}
