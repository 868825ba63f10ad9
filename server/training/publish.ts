import { rm } from 'node:fs/promises';
import type { Engine, EngineModel } from '../../model/engine/engine.js';
import type { Card } from '../../model/shelf/card.js';
import { NETWORK_FILES, writeCard } from '../../model/shelf/model-files.js';
import { DEFAULTS } from '../config.js';
import { defaultChoice } from '../pipeline/default-choice.js';
import { copyDurably, syncFolder } from '../storage/durable.js';
import type { Dataset } from './data/dataset.js';
import type { Split } from './data/split.js';
import { type Prediction, predictions } from './evaluate.js';
import { Evaluation, THRESHOLDS } from './evaluation.js';
import { runFolder } from './run-config.js';

export interface PublishRequest {
  readonly engine: Engine;
  readonly dataset: Dataset;
  readonly split: Split;
  /** Names of the classes. */
  readonly names: readonly string[];
  /** The folder of the version. */
  readonly folder: string;
  /** The epoch of the best network. */
  readonly epoch: number;
  /** Called with each image of the final scoring. */
  readonly onPrediction: (part: 'validation' | 'test', prediction: Prediction) => void | Promise<void>;
}

/**
 * Scores the best network on the validation and test images, and copies it into the folder of its version, which
 * is served as soon as it has a card.
 *
 * @param cardOf the card with its scores
 */
export async function publishBest(
  request: PublishRequest,
  cardOf: (scores: Card['scores']) => Omit<Card, 'weights'>,
): Promise<Card> {
  const { engine, folder, epoch } = request;
  const files = runFolder(folder);
  const best = files.best(epoch);
  const model = await engine.load(best);
  const { scores, threshold } = await scoreParts(request, model);
  await engine.unload(model.id);
  const card: Card = {
    ...cardOf(scores),
    ...(threshold !== null && { threshold }),
    weights: model.card.weights,
  };
  // copied, not moved: a training that is killed before the card is written can be resumed, and ends here again
  await copyDurably(NETWORK_FILES, best, folder);
  await writeCard(folder, card);
  await syncFolder(folder);
  await rm(best, { recursive: true, force: true });
  await rm(files.state, { force: true });
  return card;
}

/** The threshold is chosen on the validation images; the test images are scored at it. */
async function scoreParts(
  { engine, dataset, split, names, onPrediction }: PublishRequest,
  model: EngineModel,
): Promise<{ readonly scores: Card['scores']; readonly threshold: number | null }> {
  const scores: Card['scores'] = {};
  let threshold: number | null = null;
  for (const part of ['validation', 'test'] as const) {
    if (split[part].length === 0) continue;
    const evaluation = new Evaluation(names);
    const choice = defaultChoice(model.card, engine, {
      memory: DEFAULTS.memoryBytes,
      gpuBytes: engine.gpuBytes,
    });
    const options = { engine, model, choice, classes: names.length, thresholds: THRESHOLDS };
    for await (const prediction of predictions(split[part], dataset, options)) {
      evaluation.add(prediction);
      await onPrediction(part, prediction);
    }
    if (part === 'validation') threshold = evaluation.bestThreshold;
    scores[part] = evaluation.scores(threshold ?? undefined);
  }
  return { scores, threshold };
}
