import type { Engine, EngineModel } from '../../model/engine.js';
import type { BorderScores } from '../../model/train/border-scores.js';
import { Confusion, round } from '../../model/train/scores.js';
import { chooseTile, planTiles } from '../../tiling/plan.js';
import { TilePredictor } from '../predict.js';
import { segment } from '../segment.js';
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
export const THRESHOLDS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] as const;

/** Scores of pictures, gathered one by one; nothing of a picture is kept. */
export class Evaluation {
  readonly #confusion: Confusion;
  readonly #borders = THRESHOLDS.map(() => ({ vRand: 0, vInfo: 0 }));
  #pictures = 0;

  constructor(private readonly names: readonly string[]) {
    this.#confusion = new Confusion(names.length);
  }

  /** Adds a picture; returns the scores of it alone. */
  add({ confusion, borders }: Prediction): Record<string, number> {
    this.#confusion.merge(confusion);
    const scores = confusion.scores(this.names);
    if (borders === null) return scores;
    this.#pictures++;
    for (const [i, { vRand, vInfo }] of borders.entries()) {
      this.#borders[i]!.vRand += vRand;
      this.#borders[i]!.vInfo += vInfo;
    }
    return { ...scores, ...bestOf(borders) };
  }

  /** Over all pictures: pixel scores pooled, border scores as means, at their best threshold. */
  get scores(): Record<string, number> {
    const scores = this.#confusion.scores(this.names);
    if (this.#pictures === 0) return scores;
    const means = this.#borders.map(({ vRand, vInfo }) => {
      return { vRand: vRand / this.#pictures, vInfo: vInfo / this.#pictures };
    });
    return { ...scores, ...bestOf(means) };
  }
}

/** Scores over all classes as words; those of single classes, whose names have a space, are left out. */
export function scoreWords(scores: Readonly<Record<string, number>>): string {
  return Object.entries(scores)
    .filter(([name]) => !name.includes(' '))
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ');
}

function bestOf(each: readonly { vRand: number; vInfo: number }[]): Record<string, number> {
  return {
    vRand: round(Math.max(...each.map(({ vRand }) => vRand))),
    vInfo: round(Math.max(...each.map(({ vInfo }) => vInfo))),
  };
}
