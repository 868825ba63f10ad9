import { copyFile, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { architectureOf, type Card } from '../../model/card.js';
import type { Engine, Trainee } from '../../model/engine.js';
import { deviceFacts } from '../../model/environment.js';
import { writeCard } from '../../model/model-files.js';
import { BEGINNING, type Progress, type TrainEvent, train, type Validation } from '../../model/train/loop.js';
import { LossSum } from '../../model/train/loss-sum.js';
import { learningRateAt } from '../../model/train/schedule.js';
import type { UnetConfig } from '../../model/unet.js';
import { planTiles } from '../../tiling/plan.js';
import { RequestError } from '../contract/errors.js';
import type { Dataset, Pair } from './dataset.js';
import { Evaluation, type Prediction, predictions, THRESHOLDS } from './evaluate.js';
import { errorOf, type Monitor, monitorFor, scoreOf } from './monitor.js';
import { BORDER_PX } from './picture-scorer.js';
import { PixelWeights } from './pixel-weights.js';
import type { RunConfig } from './run-config.js';
import { runFolder } from './run-config.js';
import { Sampler } from './sampler.js';
import { classWeightsOf } from './settings.js';
import type { Split } from './split.js';

export interface RunRequest {
  readonly engine: Engine;
  readonly dataset: Dataset;
  readonly split: Split;
  readonly config: RunConfig;
  /** The version's folder; its card appears when the training has ended. */
  readonly folder: string;
  readonly resume: boolean;
  /** When it aborts, the training writes a checkpoint and ends without a model. */
  readonly signal: AbortSignal;
  /** Called with each weight map that is computed before the first step, and how many there will be. */
  readonly onMap: (done: number, all: number) => void;
  /** Called once, before the first step. */
  readonly onStart: (facts: RunFacts) => void | Promise<void>;
  readonly onEvent: (event: TrainEvent) => void | Promise<void>;
  /** Called with each picture of the last scoring of validation and test, by the network that is kept. */
  readonly onPrediction: (part: 'validation' | 'test', prediction: Prediction) => void | Promise<void>;
}

export interface RunFacts {
  readonly parameters: number;
  readonly epochSteps: number;
  readonly from: Progress;
  /** By what the best network is chosen. */
  readonly monitor: Monitor;
}

/** A trainee and what feeds it: what a training, a preview and a range test have in common. */
export interface Prepared {
  readonly trainee: Trainee;
  readonly sampler: Sampler;
  readonly unet: UnetConfig;
}

/** Builds the network of a run and the sampler of its crops. */
export async function prepare(
  engine: Engine,
  request: Pick<RunRequest, 'config' | 'dataset' | 'split' | 'signal' | 'onMap'>,
): Promise<Prepared> {
  const { config, dataset, split, signal, onMap } = request;
  const { settings, seed, from, freezeEncoder } = config;
  const { tile, loss, optimizer } = settings;
  const unet = { ...settings.unet, classes: config.classes.length, seed };
  const start = from === null ? {} : { from };
  const trainee = await engine.train({ unet, tile, loss, optimizer, freezeEncoder, ...start });
  const { geometry } = trainee.facts;
  // refuses a tile that the network cannot take, in the words that serving has for it
  planTiles({ width: 1, height: 1 }, { tile: { width: tile, height: tile }, rule: geometry });
  const options = {
    tile,
    halo: geometry.halo,
    batch: settings.batch,
    epochSteps: batchesOf(settings),
    augmentation: settings.augmentation,
    classWeights: classWeightsOf(settings.classWeights, dataset.frequenciesOf(split.training)),
    border: settings.border,
    seed,
  };
  const sampler = await Sampler.create(split.training, dataset, options, { signal, onWeightMap: onMap });
  return { trainee, sampler, unet };
}

const batchesOf = ({ epochSteps, accumulate }: RunConfig['settings']): number | null =>
  epochSteps === null ? null : epochSteps * accumulate;

/**
 * Trains a network on crops that are read, mirrored and normalised as serving does, validates it through
 * the serving pipeline on whole images, and keeps the best.
 *
 * @returns the card of the network that was kept; null where the training was interrupted
 * @throws RequestError for data that is not the data of the run that is resumed
 */
export async function runTraining(request: RunRequest): Promise<Card | null> {
  const { engine, dataset, split, config, folder, signal } = request;
  const { settings, classes } = config;
  const files = runFolder(folder);
  const names = classes.map(({ name }) => name);
  const { trainee, sampler, unet } = await prepare(engine, request);
  const { geometry, parameters } = trainee.facts;
  const environment = await engine.environment();
  const from = request.resume ? await resumed(trainee, files.state, dataset) : BEGINNING;
  const epochSteps = Math.max(1, Math.floor(sampler.epochSteps / settings.accumulate));
  const frequencies = dataset.frequenciesOf(split.training);
  const monitor = settings.monitor ?? monitorFor(frequencies);
  checkMonitor(monitor, split.validation);
  await request.onStart({ parameters, epochSteps, from, monitor });

  const cardOf = (progress: Progress, scores: Card['scores']): Omit<Card, 'weights'> => ({
    name: config.name,
    version: config.version,
    description: config.description,
    architecture: architectureOf(unet, parameters, geometry),
    inputChannels: unet.inputChannels,
    normalisation: dataset.normalisation,
    classes,
    micronsPerPixel: config.micronsPerPixel,
    data: {
      ...config.data,
      digest: `sha256:${dataset.digest}`,
      split: {
        training: stemsOf(split.training),
        validation: stemsOf(split.validation),
        test: stemsOf(split.test),
      },
    },
    training: {
      command: config.command,
      seed: config.seed,
      steps: progress.epoch * epochSteps,
      seconds: Math.round(progress.seconds),
      ...deviceFacts(environment),
      ...(progress.best && {
        best: {
          monitor,
          value: scoreOf(monitor, progress.best.error),
          epoch: progress.best.epoch,
          steps: progress.best.epoch * epochSteps,
        },
      }),
    },
    scores,
  });
  const { classWeights, border, loss: kind } = settings;
  const weights = new PixelWeights(dataset, classWeightsOf(classWeights, frequencies), border);
  const score = async (pairs: readonly Pair[], id: number): Promise<Validation> => {
    const evaluation = new Evaluation(names);
    const sum = new LossSum(kind, classes.length, unet.head === 'sigmoid');
    const options = {
      ...{ engine, model: { id, geometry }, classes: classes.length, signal: NEVER },
      ...{ loss: { sum, weights }, cuts: monitor === 'vRand' ? THRESHOLDS : null },
    };
    for await (const prediction of predictions(pairs, dataset, options)) evaluation.add(prediction);
    await engine.unload(id);
    const scores = evaluation.scores();
    return { error: errorOf(monitor, { loss: sum.value, scores }), loss: sum.value, scores };
  };

  let kept: Progress | null = null;
  const events = train(trainee, {
    ...{ epochs: settings.epochs, epochSteps, accumulate: settings.accumulate, patience: settings.patience },
    learningRate: (step) => learningRateAt(settings.schedule, step, settings.epochs * epochSteps, epochSteps),
    batch: (epoch, index) => sampler.batch(epoch, index),
    validate: async () => score(split.validation, await trainee.snapshot()),
    keepBest: async (progress, { scores }) => {
      await trainee.saveModel(files.best(progress.epoch), cardOf(progress, { validation: scores }));
    },
    save: async (progress) => {
      await trainee.saveState(files.state, { progress, digest: dataset.digest });
      await forgetBests(files.training, progress.best?.epoch);
    },
    from,
    signal,
    now: () => performance.now(),
  });
  for await (const event of events) {
    await request.onEvent(event);
    if (event.type === 'end' && event.why !== 'interrupted') kept = event.progress;
  }
  return kept === null ? null : finish(request, kept, cardOf);
}

/** @throws RequestError for a score that no image for validation has */
function checkMonitor(monitor: Monitor, validation: readonly Pair[]): void {
  const scored = validation.some(({ image: { size } }) => size.width * size.height <= BORDER_PX);
  if (monitor !== 'vRand' || scored) return;
  throw new RequestError(
    'bad-data',
    `--monitor vRand needs an image for validation of ${BORDER_PX / 1e6} Mpx or less: larger ones have no V_Rand`,
  );
}

/** A validation that has begun is completed: it is short, and its training is saved after it. */
const NEVER = new AbortController().signal;

/** A training that was killed before its first checkpoint starts over: by its seed, as it began. */
async function resumed(trainee: Trainee, path: string, dataset: Dataset): Promise<Progress> {
  const missing = await stat(path).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  );
  if (missing) return BEGINNING;
  const extra = (await trainee.loadState(path)) as { readonly progress: Progress; readonly digest: string };
  if (extra.digest !== dataset.digest) {
    throw new RequestError('bad-data', 'the images or labels are not those that the training began with');
  }
  return extra.progress;
}

/** Of the networks that were the best once, keeps the one that is. */
async function forgetBests(training: string, epoch: number | undefined): Promise<void> {
  for (const name of await readdir(training)) {
    if (name.startsWith('best-') && name !== `best-${epoch}`) {
      await rm(join(training, name), { recursive: true, force: true });
    }
  }
}

/** Scores the best network, and makes its folder one that is served: the card comes last. */
async function finish(
  { engine, dataset, split, config, folder, onPrediction }: RunRequest,
  progress: Progress,
  cardOf: (progress: Progress, scores: Card['scores']) => Omit<Card, 'weights'>,
): Promise<Card> {
  const files = runFolder(folder);
  const best = files.best(progress.best!.epoch);
  const model = await engine.load(best);
  const names = config.classes.map(({ name }) => name);
  const scores: Record<string, Record<string, number>> = {};
  let threshold: number | null = null;
  for (const part of ['validation', 'test'] as const) {
    if (split[part].length === 0) continue;
    const evaluation = new Evaluation(names);
    const options = { engine, model, classes: names.length, cuts: THRESHOLDS, signal: NEVER };
    for await (const prediction of predictions(split[part], dataset, options)) {
      evaluation.add(prediction);
      await onPrediction(part, prediction);
    }
    // chosen on the images for validation, and kept: those for testing had no say in it
    if (part === 'validation') threshold = evaluation.bestThreshold;
    scores[part] = evaluation.scores(threshold ?? undefined);
  }
  await engine.unload(model.id);
  const card: Card = {
    ...cardOf(progress, scores),
    ...(threshold !== null && { threshold }),
    weights: model.card.weights,
  };
  // copied, not moved: what is killed before its card is there can be resumed, and ends here again
  for (const name of ['model.json', 'weights.bin']) await copyFile(join(best, name), join(folder, name));
  await writeCard(folder, card);
  await rm(best, { recursive: true, force: true });
  await rm(files.state, { force: true });
  return card;
}

const stemsOf = (pairs: readonly Pair[]): string[] => pairs.map(({ stem }) => stem);
