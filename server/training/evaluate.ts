import type { Engine, EngineModel } from '../../model/engine.js';
import type { BorderScores } from '../../model/train/border-scores.js';
import { Confusion, round } from '../../model/train/scores.js';
import { chooseTile, planTiles } from '../../tiling/plan.js';
import { TilePredictor } from '../pipeline/predict.js';
import { segment } from '../pipeline/segment.js';
import type { Dataset, Pair } from './dataset.js';
import type { Miniature } from './miniature.js';
import { type LossTally, PictureScorer } from './picture-scorer.js';

/** How a network does on one picture. */
export interface Prediction {
  readonly pair: Pair;
  readonly confusion: Confusion;
  /** At each cut; null without cuts, and for pictures that are too large. */
  readonly borders: readonly BorderScores[] | null;
  /** Class indices of the truth, and of the network, for a look. */
  readonly truth: Miniature;
  readonly labels: Miniature;
}

export interface EvaluateOptions {
  readonly engine: Engine;
  readonly model: Pick<EngineModel, 'id' | 'geometry'>;
  readonly classes: number;
  readonly symmetries?: boolean;
  /** Rising probabilities at which foreground is cut for border scores, of two classes. Default none. */
  readonly cuts?: readonly number[] | null;
  /** Where the loss is added up. Default nowhere. */
  readonly loss?: LossTally | null;
  readonly signal: AbortSignal;
}

/**
 * Segments pictures as serving does, one after the other, and scores their masks while they are made. The
 * network gives labels; probabilities only where the loss or border scores need them.
 */
export async function* predictions(
  pairs: readonly Pair[],
  dataset: Pick<Dataset, 'codec'>,
  { engine, model, classes, symmetries = false, cuts = null, loss = null, signal }: EvaluateOptions,
): AsyncGenerator<Prediction> {
  const predictor = new TilePredictor(engine);
  const { id, geometry } = model;
  const { smallest, tileable } = geometry;
  const fixed = { width: smallest, height: smallest };
  for (const pair of pairs) {
    const { image } = pair;
    const scorer = new PictureScorer(pair, dataset, { classes, cuts: classes === 2 ? cuts : null, loss });
    const tile = tileable ? chooseTile(image.size, 'auto', geometry) : fixed;
    await segment({
      source: image,
      plan: planTiles(image.size, { tile, rule: geometry }),
      output: scorer.needsProbabilities ? 'probabilities' : 'labels',
      classes,
      sink: scorer,
      predict: predictor.for('evaluation', { id, exact: tileable }, { symmetries }),
      signal,
    });
    const { confusion, truth, labels } = scorer;
    yield { pair, confusion, truth, labels, borders: scorer.borderScores() };
  }
}

/** Probabilities at which the border scores cut foreground from border, as in the challenge. */
export const THRESHOLDS: readonly number[] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/** What labels are cut at where nothing was chosen: the greater of two probabilities. */
export const PLAIN_THRESHOLD = 0.5;

/** The nine, and one that was chosen elsewhere. */
export const cutsWith = (threshold: number): readonly number[] =>
  [...new Set([...THRESHOLDS, threshold])].sort((a, b) => a - b);

/** Scores of pictures, gathered one by one; nothing of a picture is kept. */
export class Evaluation {
  readonly #confusion: Confusion;
  readonly #borders: { vRand: number; vInfo: number }[];
  #pictures = 0;

  /** @param cuts the probabilities of the border scores, see `cutsWith` */
  constructor(
    private readonly names: readonly string[],
    private readonly cuts: readonly number[] = THRESHOLDS,
  ) {
    this.#confusion = new Confusion(names.length);
    this.#borders = cuts.map(() => ({ vRand: 0, vInfo: 0 }));
  }

  /** Adds a picture; returns the scores of it alone, its border scores at a threshold and at their best. */
  add({ confusion, borders }: Prediction, threshold = PLAIN_THRESHOLD): Record<string, number> {
    this.#confusion.merge(confusion);
    const scores = confusion.scores(this.names);
    if (borders === null) return scores;
    this.#pictures++;
    for (const [i, { vRand, vInfo }] of borders.entries()) {
      this.#borders[i]!.vRand += vRand;
      this.#borders[i]!.vInfo += vInfo;
    }
    return { ...scores, ...this.#bordersAt(borders, threshold) };
  }

  /** Over all pictures: pixel scores pooled, border scores as means, at a threshold and at their best. */
  scores(threshold = PLAIN_THRESHOLD): Record<string, number> {
    const scores = this.#confusion.scores(this.names);
    return this.#pictures === 0 ? scores : { ...scores, ...this.#bordersAt(this.#means, threshold) };
  }

  /** The threshold at which V_Rand is best, the nearest to a half of equals; null without border scores. */
  get bestThreshold(): number | null {
    if (this.#pictures === 0) return null;
    const ranked = this.#means.map(({ vRand }, i) => ({ vRand, cut: this.cuts[i]! }));
    const far = (cut: number) => Math.abs(cut - PLAIN_THRESHOLD);
    return ranked.sort((a, b) => b.vRand - a.vRand || far(a.cut) - far(b.cut))[0]!.cut;
  }

  get #means(): { vRand: number; vInfo: number }[] {
    return this.#borders.map(({ vRand, vInfo }) => {
      return { vRand: vRand / this.#pictures, vInfo: vInfo / this.#pictures };
    });
  }

  #bordersAt(each: readonly { vRand: number; vInfo: number }[], threshold: number): Record<string, number> {
    const { vRand, vInfo } = each[this.cuts.indexOf(threshold)]!;
    return {
      vRand: round(vRand),
      vInfo: round(vInfo),
      vRandBestOf9: bestOfNine(each, this.cuts, 'vRand'),
      vInfoBestOf9: bestOfNine(each, this.cuts, 'vInfo'),
    };
  }
}

/** Scores over all classes as words; those of single classes, whose names have a space, are left out. */
export function scoreWords(scores: Readonly<Record<string, number>>): string {
  return Object.entries(scores)
    .filter(([name]) => !name.includes(' '))
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ');
}

function bestOfNine(
  each: readonly { vRand: number; vInfo: number }[],
  cuts: readonly number[],
  name: 'vRand' | 'vInfo',
): number {
  return round(
    Math.max(...each.filter((_, i) => THRESHOLDS.includes(cuts[i]!)).map((scores) => scores[name])),
  );
}
