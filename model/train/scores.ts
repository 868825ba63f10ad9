/** Counts of pixels by true class (row) and predicted class (column). */
export class Confusion {
  readonly #counts: Float64Array;

  constructor(readonly classes: number) {
    this.#counts = new Float64Array(classes * classes);
  }

  /** Adds pixels: class indices of equal length, below `classes`. */
  add(truth: Uint8Array, predicted: Uint8Array): void {
    for (let i = 0; i < truth.length; i++) this.#counts[truth[i]! * this.classes + predicted[i]!]!++;
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

  /** Intersection over union of each class; 1 for a class that neither has. */
  get iou(): number[] {
    return Array.from({ length: this.classes }, (_, c) => {
      let union = -this.#at(c, c);
      for (let o = 0; o < this.classes; o++) union += this.#at(c, o) + this.#at(o, c);
      return union === 0 ? 1 : this.#at(c, c) / union;
    });
  }

  /** By name, as cards keep them: pixel error, IoU of each class and their mean. */
  scores(names: readonly string[]): Record<string, number> {
    const { iou } = this;
    const round = (x: number) => Number(x.toFixed(5));
    return {
      pixelError: round(this.pixelError),
      meanIou: round(iou.reduce((sum, x) => sum + x, 0) / this.classes),
      ...Object.fromEntries(names.map((name, c) => [`iou ${name}`, round(iou[c]!)])),
    };
  }
}
