import type { Engine } from '../../model/engine/engine.js';
import type { TileGeometry } from '../../model/network/geometry.js';
import type { Validation } from '../../model/train/loop.js';
import { LossSum } from '../../model/train/loss-sum.js';
import { RequestError } from '../contract/errors.js';
import type { Dataset, Pair } from './data/dataset.js';
import { PixelWeights } from './data/pixel-weights.js';
import { predictions } from './evaluate.js';
import { Evaluation, THRESHOLDS } from './evaluation.js';
import { MAX_BORDER_SCORE_PIXELS } from './image-scorer.js';
import { errorOf, type Monitor } from './monitor.js';
import type { RunConfig } from './run-config.js';
import { classWeightsOf } from './settings.js';

export interface ValidatorOptions {
  readonly engine: Engine;
  readonly dataset: Dataset;
  readonly config: RunConfig;
  /** The validation images. */
  readonly pairs: readonly Pair[];
  /** Pixels of each class in the training images. */
  readonly frequencies: readonly number[];
  readonly geometry: TileGeometry;
  readonly monitor: Monitor;
}

/** Validates a network in training: segments whole images as serving does, and computes its loss and scores. */
export class Validator {
  readonly #weights: PixelWeights;

  /** @throws RequestError for a monitor that the validation images have no score for */
  constructor(private readonly options: ValidatorOptions) {
    const { dataset, config, frequencies, monitor, pairs } = options;
    const { classWeights, border } = config.settings;
    this.#weights = new PixelWeights(dataset, classWeightsOf(classWeights, frequencies), border);
    const isScored = ({ image: { size } }: Pair) => size.width * size.height <= MAX_BORDER_SCORE_PIXELS;
    if (monitor === 'vRand' && !pairs.some(isScored)) {
      const limit = `${MAX_BORDER_SCORE_PIXELS / 1e6} Mpx`;
      throw new RequestError(
        'bad-data',
        `--monitor vRand needs a validation image of at most ${limit}: V_Rand is not computed for larger ones`,
      );
    }
  }

  /**
   * Validates the engine's model `id` and unloads it. It is not interrupted: it is short, and a checkpoint follows.
   */
  async validate(id: number): Promise<Validation> {
    const { engine, dataset, config, pairs, geometry, monitor } = this.options;
    const { settings, classes } = config;
    const evaluation = new Evaluation(classes.map(({ name }) => name));
    const sum = new LossSum(settings.loss, classes.length, settings.unet.head === 'sigmoid');
    const options = {
      engine,
      model: { id, geometry },
      classes: classes.length,
      loss: { sum, weights: this.#weights },
      thresholds: monitor === 'vRand' ? THRESHOLDS : null,
    };
    for await (const prediction of predictions(pairs, dataset, options)) evaluation.add(prediction);
    await engine.unload(id);
    const scores = evaluation.scores();
    return { error: errorOf(monitor, { loss: sum.value, scores }), loss: sum.value, scores };
  }
}
