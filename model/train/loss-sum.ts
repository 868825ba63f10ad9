import { DICE_SMOOTHING, type LossKind } from './choices.js';

/** Probabilities below this count as this: what a network of 32 bits calls impossible costs 16 nats, not all. */
const LEAST = 1e-7;

/**
 * The loss of `lossOf`, of probabilities that come piece by piece and in sums of 64 bits: all that was
 * added is one batch. So a picture of any size is one, without being in memory.
 */
export class LossSum {
  #entropy = 0;
  #weight = 0;
  /** Σ w·p·t, Σ w·p and Σ w·t of each class. */
  readonly #both: Float64Array;
  readonly #predicted: Float64Array;
  readonly #true: Float64Array;

  /** @param single whether the network has one logit, for the second of two classes */
  constructor(
    private readonly kind: LossKind,
    private readonly classes: number,
    private readonly single: boolean,
  ) {
    [this.#both, this.#predicted, this.#true] = [0, 0, 0].map(() => new Float64Array(classes)) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
  }

  /**
   * Adds pixels.
   * @param probabilities `classes` a pixel
   * @param labels true class indices; of any value where the weight is 0
   * @param weights 0 where a pixel does not count
   */
  add(probabilities: Float32Array, labels: Uint8Array, weights: Float32Array): void {
    const { classes } = this;
    for (let at = 0; at < labels.length; at++) {
      const weight = weights[at]!;
      if (weight === 0) continue;
      const label = labels[at]!;
      const p = probabilities[at * classes + label]!;
      this.#weight += weight;
      this.#entropy -= weight * Math.log(Math.max(p, LEAST));
      this.#both[label]! += weight * p;
      this.#true[label]! += weight;
      for (let c = 0; c < classes; c++) this.#predicted[c]! += weight * probabilities[at * classes + c]!;
    }
  }

  get value(): number {
    const entropy = this.kind === 'dice' ? 0 : this.#crossEntropy;
    return entropy + (this.kind === 'cross-entropy' ? 0 : this.#dice);
  }

  get #crossEntropy(): number {
    return this.#weight === 0 ? 0 : this.#entropy / this.#weight;
  }

  get #dice(): number {
    let [sum, first] = [0, this.single ? 1 : 0];
    const count = this.classes - first;
    for (; first < this.classes; first++) {
      const either = this.#predicted[first]! + this.#true[first]!;
      sum += (2 * this.#both[first]! + DICE_SMOOTHING) / (either + DICE_SMOOTHING);
    }
    return 1 - sum / count;
  }
}
