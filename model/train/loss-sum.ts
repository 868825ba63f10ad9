import { DICE_SMOOTHING, type LossKind } from './choices.js';

/** Lower bound of probabilities in the cross-entropy: one that underflowed to 0 costs 16 nats, not infinity. */
const MIN_PROBABILITY = 1e-7;

/**
 * The loss of `lossOf`, accumulated in 64 bits from probabilities that arrive in parts. All parts are one batch, so
 * the loss of an image of any size needs no memory.
 */
export class LossSum {
  #entropy = 0;
  #weight = 0;
  /** Σ w·p·t of each class. */
  readonly #both: Float64Array;
  /** Σ w·p of each class. */
  readonly #predicted: Float64Array;
  /** Σ w·t of each class. */
  readonly #true: Float64Array;

  /** @param single whether the network has one logit, for the second of two classes */
  constructor(
    private readonly kind: LossKind,
    private readonly classes: number,
    private readonly single: boolean,
  ) {
    this.#both = new Float64Array(classes);
    this.#predicted = new Float64Array(classes);
    this.#true = new Float64Array(classes);
  }

  /**
   * Adds pixels.
   * @param probabilities `[pixels, classes]`
   * @param labels true class indices; ignored where the weight is 0
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
      this.#entropy -= weight * Math.log(Math.max(p, MIN_PROBABILITY));
      this.#both[label]! += weight * p;
      this.#true[label]! += weight;
      for (let c = 0; c < classes; c++) this.#predicted[c]! += weight * probabilities[at * classes + c]!;
    }
  }

  /** The loss of all pixels so far. */
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
