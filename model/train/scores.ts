/** Counts of pixels by true class (row) and predicted class (column). */
export class Confusion {
  readonly #counts: Float64Array;

  constructor(readonly classes: number) {
    this.#counts = new Float64Array(classes * classes);
  }

  /** Adds pixels: class indices of equal length. A true value that is no class does not count. */
  add(truth: Uint8Array, predicted: Uint8Array): void {
    for (let i = 0; i < truth.length; i++) {
      if (truth[i]! < this.classes) this.#counts[truth[i]! * this.classes + predicted[i]!]!++;
    }
  }

  /** Adds what another has counted, of the same classes. */
  merge(other: Confusion): void {
    for (const [i, count] of other.#counts.entries()) this.#counts[i]! += count;
  }

  #at(truth: number, predicted: number): number {
    return this.#counts[truth * this.classes + predicted]!;
  }

  /** The share of pixels whose class is wrong, in [0, 1]. */
  get pixelError(): number {
    let right = 0;
    for (let c = 0; c < this.classes; c++) right += this.#at(c, c);
    const all = this.#counts.reduce((sum, n) => sum + n, 0);
    return all === 0 ? 0 : 1 - right / all;
  }

  /** Intersection over union (Jaccard index) of each class; 1 for a class that neither has. */
  get iou(): number[] {
    return this.#overlaps((both, either) => both / either);
  }

  /** 2·intersection / (size + size) of each class; 1 for a class that neither has. */
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

  /** By name, as cards keep them: pixel error, means over classes, and each class. */
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

/** Scores are kept to five places. */
export const round = (x: number): number => Number(x.toFixed(5));
