import type { ComputeChoice } from '../../model/compute-choice.js';
import type { Engine, EngineModel } from '../../model/engine/engine.js';
import type { BorderScores } from '../../model/train/border-scores.js';
import type { Confusion } from '../../model/train/scores.js';
import { chooseTile, planTiles } from '../../tiling/plan.js';
import { oneLane } from '../pipeline/default-choice.js';
import { DeviceWatch } from '../pipeline/device-watch.js';
import { TilePredictor } from '../pipeline/predict.js';
import { segment } from '../pipeline/segment.js';
import type { Dataset, Pair } from './data/dataset.js';
import type { Miniature } from './data/miniature.js';
import { ImageScorer, type LossTally } from './image-scorer.js';

/** How well a network segments one image. */
export interface Prediction {
  readonly pair: Pair;
  readonly confusion: Confusion;
  /** The border scores at each threshold; null without thresholds, and for an image that is too large. */
  readonly borders: readonly BorderScores[] | null;
  /** Thumbnails of the true and the predicted class indices. */
  readonly truth: Miniature;
  readonly labels: Miniature;
}

export interface EvaluateOptions {
  readonly engine: Engine;
  readonly model: Pick<EngineModel, 'id' | 'geometry'>;
  /** How it is computed. Default in one lane of all threads. */
  readonly choice?: ComputeChoice;
  readonly classes: number;
  /** Whether to average over the eight symmetries of the square. Default false. */
  readonly symmetries?: boolean;
  /** Ascending thresholds for border scores of two classes, such as `THRESHOLDS`. Default none. */
  readonly thresholds?: readonly number[] | null;
  /** Accumulates the loss. Default none. */
  readonly loss?: LossTally | null;
  /** Default never aborted. */
  readonly signal?: AbortSignal;
}

/**
 * Segments images as serving does, one after the other, and scores their masks while they are computed. The network
 * outputs labels, or probabilities if the loss or border scores need them.
 */
export async function* predictions(
  pairs: readonly Pair[],
  dataset: Pick<Dataset, 'codec'>,
  {
    engine,
    model: { id, geometry },
    choice = oneLane(engine),
    classes,
    symmetries = false,
    thresholds = null,
    loss = null,
    signal = new AbortController().signal,
  }: EvaluateOptions,
): AsyncGenerator<Prediction> {
  const predictor = new TilePredictor(engine);
  const { smallest, tileable } = geometry;
  const fixed = { width: smallest, height: smallest };
  // Last bits of TensorFlow's, and of a GPU's, depend on the tiles of a batch, and these on time: scores would not be
  // repeatable.
  const exact = tileable && engine.provider === 'cpu' && (await engine.environment()).engine === 'onnx';
  const watch = new DeviceWatch(engine, predictor);
  try {
    for (const pair of pairs) {
      const { image } = pair;
      const options = { classes, thresholds: classes === 2 ? thresholds : null, loss };
      const scorer = new ImageScorer(pair, dataset, options);
      const tile = tileable ? chooseTile(image.size, 'auto', geometry, choice.tile) : fixed;
      const plan = planTiles(image.size, { tile, rule: geometry });
      // on a GPU, a batch is filled up: those of a small image have no more tiles than it has
      const batch = Math.min(choice.batch, plan.count * tile.width * tile.height);
      await segment({
        source: image,
        plan,
        output: scorer.needsProbabilities ? 'probabilities' : 'labels',
        classes,
        sink: scorer,
        predict: predictor.for(
          'evaluation',
          { id, exact, choice: { ...choice, batch } },
          { symmetries, canShrink: true },
        ),
        choice,
        signal,
      });
      const { confusion, truth, labels } = scorer;
      yield { pair, confusion, truth, labels, borders: scorer.borderScores() };
    }
  } finally {
    watch.stop();
  }
}
