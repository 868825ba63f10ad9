import { Confusion, round } from '../../model/train/scores.js';
import type { Prediction } from './evaluate.js';

/** The probabilities at which the ISBI 2012 challenge separates foreground from border. */
export const THRESHOLDS: readonly number[] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/** The threshold of labels unless one was chosen: the greater of two probabilities. */
export const DEFAULT_THRESHOLD = 0.5;

/** `THRESHOLDS` and one more, ascending. */
export const thresholdsWith = (threshold: number): readonly number[] =>
  [...new Set([...THRESHOLDS, threshold])].sort((a, b) => a - b);

/** Aggregates the scores of images, added one by one. */
export class Evaluation {
  readonly #confusion: Confusion;
  /** Sums over the images at each threshold. */
  readonly #borders: { vRand: number; vInfo: number }[];
  /** Images with border scores. */
  #bordered = 0;

  /**
   * @param names of the classes
   * @param thresholds those of the predictions that are added
   */
  constructor(
    private readonly names: readonly string[],
    private readonly thresholds: readonly number[] = THRESHOLDS,
  ) {
    this.#confusion = new Confusion(names.length);
    this.#borders = thresholds.map(() => ({ vRand: 0, vInfo: 0 }));
  }

  /** Adds an image; returns its own scores, border scores at `threshold` and at their best. */
  add({ confusion, borders }: Prediction, threshold = DEFAULT_THRESHOLD): Record<string, number> {
    this.#confusion.merge(confusion);
    const scores = confusion.scores(this.names);
    if (borders === null) return scores;
    this.#bordered++;
    for (const [i, { vRand, vInfo }] of borders.entries()) {
      this.#borders[i]!.vRand += vRand;
      this.#borders[i]!.vInfo += vInfo;
    }
    return { ...scores, ...this.#bordersAt(borders, threshold) };
  }

  /** Scores of all images: pixel scores pooled, border scores averaged, at `threshold` and at their best. */
  scores(threshold = DEFAULT_THRESHOLD): Record<string, number> {
    const scores = this.#confusion.scores(this.names);
    return this.#bordered === 0 ? scores : { ...scores, ...this.#bordersAt(this.#means, threshold) };
  }

  /** The threshold with the best V_Rand, of equal ones the nearest to 0.5; null without border scores. */
  get bestThreshold(): number | null {
    if (this.#bordered === 0) return null;
    const candidates = this.#means.map(({ vRand }, i) => ({ vRand, threshold: this.thresholds[i]! }));
    const distance = (threshold: number) => Math.abs(threshold - DEFAULT_THRESHOLD);
    candidates.sort((a, b) => b.vRand - a.vRand || distance(a.threshold) - distance(b.threshold));
    return candidates[0]!.threshold;
  }

  get #means(): { vRand: number; vInfo: number }[] {
    return this.#borders.map(({ vRand, vInfo }) => {
      return { vRand: vRand / this.#bordered, vInfo: vInfo / this.#bordered };
    });
  }

  #bordersAt(each: readonly { vRand: number; vInfo: number }[], threshold: number): Record<string, number> {
    const { vRand, vInfo } = each[this.thresholds.indexOf(threshold)]!;
    return {
      vRand: round(vRand),
      vInfo: round(vInfo),
      vRandBestOf9: bestOfNine(each, this.thresholds, 'vRand'),
      vInfoBestOf9: bestOfNine(each, this.thresholds, 'vInfo'),
    };
  }
}

/** Formats scores over all classes; those of a single class have a space in their name and are left out. */
export function formatScores(scores: Readonly<Record<string, number>>): string {
  return Object.entries(scores)
    .filter(([name]) => !name.includes(' '))
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ');
}

function bestOfNine(
  each: readonly { vRand: number; vInfo: number }[],
  thresholds: readonly number[],
  name: 'vRand' | 'vInfo',
): number {
  return round(
    Math.max(...each.filter((_, i) => THRESHOLDS.includes(thresholds[i]!)).map((scores) => scores[name])),
  );
}
