import type { Card } from '../model/card.js';
import { writeCard } from '../model/checkpoint.js';
import type { Engine } from '../model/engine.js';
import { NORMALISATION } from '../model/normalize.js';
import { type TrainEvent, train } from '../model/train/loop.js';
import { Random } from '../model/train/random.js';
import { Confusion } from '../model/train/scores.js';
import type { UnetConfig } from '../model/unet.js';
import { chooseTile, planTiles } from '../tiling/plan.js';
import { MemorySink } from '../tiling/sinks/memory.js';
import { RequestError } from './errors.js';
import { TilePredictor } from './predict.js';
import { segment } from './segment.js';
import { type Dataset, type Pair, randomBatch } from './training-data.js';

export interface TrainRequest {
  readonly engine: Engine;
  readonly dataset: Dataset;
  /** Stems of the images that choose the best network, and of those that are scored once, at the end. */
  readonly validation: readonly string[];
  readonly test: readonly string[];
  readonly unet: UnetConfig;
  readonly learningRate: number;
  readonly steps: number;
  readonly batch: number;
  /** Side of the crops, the network's input, in px. */
  readonly tile: number;
  readonly validateEvery: number;
  readonly classes: Card['classes'];
  readonly about: Pick<Card, 'name' | 'version' | 'description' | 'micronsPerPixel'> & {
    readonly command: string;
    readonly data: Pick<Card['data'], 'description' | 'citation' | 'terms'>;
  };
  /** The model folder; it appears with the first validation, and again with each better one. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly onEvent: (event: TrainEvent) => void;
}

/**
 * Trains a network on crops that are read, mirrored and normalised as serving does, validates it
 * through the serving pipeline on whole images, and keeps the best.
 *
 * @returns the card of the network that was kept
 * @throws RequestError for a split that the images do not allow
 */
export async function runTraining(request: TrainRequest): Promise<Card> {
  const { engine, dataset, unet, classes, about, folder, signal } = request;
  const split = splitPairs(dataset.pairs, request);
  const trainee = await engine.train({ unet, learningRate: request.learningRate });
  const { geometry, parameters } = trainee.facts;
  const { halo } = geometry;
  planTiles({ width: 1, height: 1 }, { tile: { width: request.tile, height: request.tile }, rule: geometry });
  const random = new Random(unet.seed);
  const predictor = new TilePredictor(engine);
  const names = classes.map(({ name }) => name);

  const score = async (pairs: readonly Pair[], id: number): Promise<Confusion> => {
    const confusion = new Confusion(classes.length);
    for (const { stem, image, labels } of pairs) {
      const sink = new MemorySink(image.size, 1);
      const plan = planTiles(image.size, { tile: chooseTile(image.size, 'auto', geometry), rule: geometry });
      const predict = predictor.for(stem, { id, exact: true });
      await segment({
        source: image,
        plan,
        output: 'labels',
        classes: classes.length,
        sink,
        predict,
        signal,
      });
      const truth = await labels.readRegion({ x: 0, y: 0, ...labels.size });
      confusion.add(
        Uint8Array.from(truth.data, (value) => dataset.classOf[value]!),
        sink.data as Uint8Array,
      );
    }
    await engine.unload(id);
    return confusion;
  };
  const validate = async () => {
    const confusion = await score(split.validation, await trainee.snapshot());
    return { error: confusion.pixelError, scores: confusion.scores(names) };
  };
  const cardOf = (step: number, seconds: number, scores: Card['scores']): Omit<Card, 'weights'> => ({
    name: about.name,
    version: about.version,
    description: about.description,
    architecture: { kind: 'unet', channels: [...unet.channels], parameters, ...geometry },
    inputChannels: unet.inputChannels,
    normalisation: NORMALISATION,
    classes,
    micronsPerPixel: about.micronsPerPixel,
    data: {
      ...about.data,
      digest: `sha256:${dataset.digest}`,
      split: mapValues(split, (pairs) => pairs.map(({ stem }) => stem)),
    },
    training: {
      command: about.command,
      seed: unet.seed,
      steps: step,
      seconds: Math.round(seconds),
      device: engine.device,
      versions: engine.versions,
    },
    scores,
  });

  const started = performance.now();
  const crop = { count: request.batch, side: request.tile, halo };
  let card: Card | undefined;
  const events = train(trainee, {
    steps: request.steps,
    validateEvery: request.validateEvery,
    nextBatch: () => randomBatch(split.training, dataset.classOf, crop, random),
    validate,
    signal,
  });
  for await (const event of events) {
    if (event.type === 'validated' && event.best) {
      const seconds = (performance.now() - started) / 1000;
      card = await trainee.save(folder, cardOf(event.step, seconds, { validation: event.scores }));
    }
    request.onEvent(event);
  }
  const kept = card!;
  if (split.test.length === 0) return kept;
  const confusion = await score(split.test, (await engine.load(folder)).id);
  const tested = { ...kept, scores: { ...kept.scores, test: confusion.scores(names) } };
  await writeCard(folder, tested);
  return tested;
}

type Split = { readonly training: Pair[]; readonly validation: Pair[]; readonly test: Pair[] };

function splitPairs(pairs: readonly Pair[], request: Pick<TrainRequest, 'validation' | 'test'>): Split {
  const stems = new Set(pairs.map(({ stem }) => stem));
  const unknown = [...request.validation, ...request.test].find((stem) => !stems.has(stem));
  if (unknown !== undefined) throw new RequestError('bad-data', `no image is named "${unknown}"`);
  const [validation, test] = [new Set(request.validation), new Set(request.test)];
  const split = {
    training: pairs.filter(({ stem }) => !validation.has(stem) && !test.has(stem)),
    validation: pairs.filter(({ stem }) => validation.has(stem)),
    test: pairs.filter(({ stem }) => test.has(stem)),
  };
  for (const part of ['training', 'validation'] as const) {
    if (split[part].length === 0) throw new RequestError('bad-data', `no images are left for ${part}`);
  }
  return split;
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
