import type { OptimizerConfig } from './choices.js';

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/**
 * Added to a moment and subtracted again, it leaves no float below the smallest normal one, 2^-126: sums are doubles,
 * and those of this size are multiples of it. The moments of a dead filter would decay through smaller floats, with which
 * a CPU computes some hundred times slower. A comparison would be slower, too: its outcome cannot be predicted.
 */
const ROUNDING = 1.5 * 2 ** -74;

export interface UpdateOptions {
  readonly learningRate: number;
  /** By which gradients are multiplied, such as 1/4 for the sums of four batches. Default 1. */
  readonly scale?: number;
}

/**
 * SGD with momentum, Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019); each step has its own
 * learning rate.
 *
 * Weights and moments are plain arrays that are updated in place, in one pass over them. As operators of a graph the
 * update takes a dozen passes, and its results would be copied out of the graph and back into it at each step. The
 * powers of Adam's betas follow from the number of steps, so that the slots and `steps` are the complete state.
 */
export class Optimizer {
  /** Momenta of each array of weights; or the first moments of all, and then the second. */
  readonly slots: readonly Float32Array[];
  /** Steps taken so far. */
  steps = 0;

  /** @param lengths of the arrays of weights */
  constructor(
    private readonly config: OptimizerConfig,
    lengths: readonly number[],
  ) {
    const perArray = config.kind === 'sgd' ? 1 : 2;
    this.slots = Array.from({ length: perArray }, () => lengths.map((n) => new Float32Array(n))).flat();
  }

  /** Updates weights in place, by gradients of the same order and lengths. */
  apply(
    weights: readonly Float32Array[],
    gradients: readonly Float32Array[],
    { learningRate, scale = 1 }: UpdateOptions,
  ): void {
    this.steps++;
    const factor = scale * this.#clipping(gradients, scale);
    const { kind, momentum, weightDecay } = this.config;
    if (kind === 'sgd') {
      for (const [i, w] of weights.entries()) {
        descend(w, gradients[i]!, this.slots[i]!, { factor, momentum, rate: learningRate });
      }
      return;
    }
    // both bias corrections, in the efficient form at the end of section 2 of the paper
    const correction = Math.sqrt(1 - BETA2 ** this.steps);
    const constants: AdamConstants = {
      factor,
      rate: (learningRate * correction) / (1 - BETA1 ** this.steps),
      epsilon: EPSILON * correction,
      decay: kind === 'adamw' ? 1 - learningRate * weightDecay : 1,
    };
    for (const [i, w] of weights.entries()) {
      adapt(w, gradients[i]!, this.slots[i]!, this.slots[weights.length + i]!, constants);
    }
  }

  /** The factor that shortens scaled gradients to the configured norm. */
  #clipping(gradients: readonly Float32Array[], scale: number): number {
    const { clipNorm } = this.config;
    if (clipNorm === null) return 1;
    let squares = 0;
    for (const gradient of gradients) for (const g of gradient) squares += g * g;
    return Math.min(1, clipNorm / (scale * Math.sqrt(squares) + 1e-12));
  }
}

interface SgdConstants {
  readonly factor: number;
  readonly momentum: number;
  readonly rate: number;
}

function descend(
  w: Float32Array,
  g: Float32Array,
  velocity: Float32Array,
  { factor, momentum, rate }: SgdConstants,
): void {
  for (let i = 0; i < w.length; i++) {
    const next = velocity[i]! * momentum + g[i]! * factor;
    velocity[i] = next + ROUNDING - ROUNDING;
    w[i]! -= next * rate;
  }
}

interface AdamConstants {
  readonly factor: number;
  readonly rate: number;
  readonly epsilon: number;
  /** By which weights are multiplied. */
  readonly decay: number;
}

function adapt(
  w: Float32Array,
  g: Float32Array,
  mean: Float32Array,
  square: Float32Array,
  { factor, rate, epsilon, decay }: AdamConstants,
): void {
  for (let i = 0; i < w.length; i++) {
    const x = g[i]! * factor;
    const nextMean = mean[i]! + (x - mean[i]!) * (1 - BETA1);
    const nextSquare = square[i]! + (x * x - square[i]!) * (1 - BETA2);
    mean[i] = nextMean + ROUNDING - ROUNDING;
    square[i] = nextSquare + ROUNDING - ROUNDING;
    w[i] = w[i]! * decay - (nextMean * rate) / (Math.sqrt(nextSquare) + epsilon);
  }
}
