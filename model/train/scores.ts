/** A confusion matrix: pixels by true class (row) and predicted class (column). */
export class Confusion {
  readonly #counts: Float64Array;

  constructor(readonly classes: number) {
    this.#counts = new Float64Array(classes * classes);
  }

  /** Adds pixels by their class indices. A pixel whose true value is no class does not count. */
  add(truth: Uint8Array, predicted: Uint8Array): void {
    for (let i = 0; i < truth.length; i++) {
      if (truth[i]! < this.classes) this.#counts[truth[i]! * this.classes + predicted[i]!]!++;
    }
  }

  /** Adds the counts of another matrix of the same classes. */
  merge(other: Confusion): void {
    for (const [i, count] of other.#counts.entries()) this.#counts[i]! += count;
  }

  #at(truth: number, predicted: number): number {
    return this.#counts[truth * this.classes + predicted]!;
  }

  /** The share of misclassified pixels, in [0, 1]; 0 without pixels. */
  get pixelError(): number {
    let correct = 0;
    for (let c = 0; c < this.classes; c++) correct += this.#at(c, c);
    const all = this.#counts.reduce((sum, n) => sum + n, 0);
    return all === 0 ? 0 : 1 - correct / all;
  }

  /** Intersection over union (Jaccard index) of each class; 1 for a class that is neither present nor predicted. */
  get iou(): number[] {
    return this.#overlaps((both, either) => both / either);
  }

  /** Dice coefficient of each class; 1 for a class that is neither present nor predicted. */
  get dice(): number[] {
    return this.#overlaps((both, either) => (2 * both) / (either + both));
  }

  #overlaps(score: (both: number, either: number) => number): number[] {
    return Array.from({ length: this.classes }, (_, c) => {
      let either = -this.#at(c, c);
      for (let o = 0; o < this.classes; o++) either += this.#at(c, o) + this.#at(o, c);
      return either === 0 ? 1 : score(this.#at(c, c), either);
    });
  }

  /** Scores by name, as in cards: pixel error, means over classes, and each class. */
  scores(names: readonly string[]): Record<string, number> {
    const { iou, dice } = this;
    const mean = (values: number[]) => values.reduce((sum, x) => sum + x, 0) / this.classes;
    return {
      pixelError: round(this.pixelError),
      meanIou: round(mean(iou)),
      meanDice: round(mean(dice)),
      ...Object.fromEntries(names.map((name, c) => [`iou ${name}`, round(iou[c]!)])),
      ...Object.fromEntries(names.map((name, c) => [`dice ${name}`, round(dice[c]!)])),
    };
  }
}

/** Rounds a score to five decimal places, as in cards. */
export const round = (x: number): number => Number(x.toFixed(5));
