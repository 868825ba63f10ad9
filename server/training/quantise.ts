import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ComputeChoice } from '../../model/compute-choice.js';
import type { Engine, EngineModel } from '../../model/engine/engine.js';
import { ModelChoiceError } from '../../model/errors.js';
import { formatRanges, QUANTISATION, type Ranges } from '../../model/quantisation/ranges.js';
import { type Card, scaledOf } from '../../model/shelf/card.js';
import { NETWORK_FILES, writeCard } from '../../model/shelf/model-files.js';
import type { FoundModel, ModelFolder } from '../../model/shelf/shelf.js';
import { within } from '../../tiling/geometry.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import { DEFAULTS } from '../config.js';
import { defaultChoice } from '../pipeline/default-choice.js';
import { createFolder } from '../storage/draft-folder.js';
import { copyDurably, replaceFile } from '../storage/durable.js';
import { sampleTiles } from './calibration-tiles.js';
import type { Dataset, Pair } from './data/dataset.js';
import type { ImageFile } from './data/dataset-files.js';
import { predictions } from './evaluate.js';
import { DEFAULT_THRESHOLD, Evaluation, thresholdsWith } from './evaluation.js';

export interface QuantiseRequest {
  readonly engine: Engine;
  /** The version to quantise. */
  readonly model: FoundModel;
  /** The folder of the quantised version, which does not exist yet. */
  readonly target: ModelFolder;
  readonly images: readonly ImageFile[];
  /** The same images with labels; null without. */
  readonly dataset: Dataset | null;
  readonly open: OpenOptions;
  /** Called with what is being done, before each step of it. */
  readonly onStep?: (what: 'calibration' | 'comparison' | 'scores') => void;
}

/** A quantised version, and whether its tiles agreed with the whole on this device. */
export interface Quantised {
  readonly card: Card;
  readonly exact: boolean;
}

/**
 * Makes the quantised version of a model: finds the ranges of its feature maps, compares it with the original, and puts
 * it into its folder, which appears when it is complete.
 *
 * With the labelled data set that the model was trained with, ranges come from its training images, and comparison and
 * scores from the others; with other images, all of that comes from all of them.
 *
 * @throws ModelChoiceError for a version that is quantised, or was quantised before
 * @throws UnquantisableLayerError naming the first layer that cannot be quantised
 */
export async function quantise(request: QuantiseRequest): Promise<Quantised> {
  const { engine, model, target, onStep = () => {} } = request;
  await checkChoice(model, target);
  const parts = partsOf(request);
  onStep('calibration');
  const { ranges, tiles } = await calibrate(request, parts.calibration);
  const original = await engine.load(model.folder);
  try {
    const quantised = await createFolder(target.folder, async (draft) => {
      const unscored = await writeDraft(draft, request, { ranges, tiles, images: parts.calibration });
      return finishDraft(draft, request, { unscored, original, parts });
    });
    if (quantised === null) throw existsError(model, target); // another run has published it first
    return quantised;
  } finally {
    await engine.unload(original.id);
  }
}

/** What the ranges of a draft were found on. */
interface Calibrated {
  readonly ranges: Ranges;
  readonly tiles: number;
  readonly images: readonly ImageFile[];
}

/** Writes a quantised version that is compared and scored nowhere yet. Returns its card. */
async function writeDraft(
  draft: string,
  { model, target }: QuantiseRequest,
  { ranges, tiles, images }: Calibrated,
): Promise<Card> {
  await copyDurably(NETWORK_FILES, model.folder, draft);
  const text = formatRanges(ranges);
  await replaceFile(join(draft, QUANTISATION), text);
  const sha256 = createHash('sha256').update(text).digest('hex');
  const calibration = { images: stemsOf(images), tiles };
  const card: Card = {
    ...model.card,
    version: target.version,
    scores: {},
    quantisation: { sha256, calibration, agreement: { images: [], share: 0 }, original: {} },
  };
  await writeCard(draft, card);
  return card;
}

interface Unfinished {
  readonly unscored: Card;
  readonly original: EngineModel;
  readonly parts: Parts;
}

/** Tests a quantised version, compares it with the original, scores it, and completes its card. */
async function finishDraft(
  draft: string,
  request: QuantiseRequest,
  { unscored, original, parts }: Unfinished,
): Promise<Quantised> {
  const { engine, model, onStep = () => {} } = request;
  const quantised = await engine.load(draft);
  const { inputChannels: channels } = model.card;
  const use = { output: 'labels', symmetries: false, channels, ...scaledOf(model.card) } as const;
  const { threads } = choiceOf(request, quantised);
  const { exact } = await engine.tested(quantised, use, threads);
  onStep('comparison');
  const share = await compare(request, [original, quantised], parts.comparison);
  onStep('scores');
  const card: Card = {
    ...unscored,
    scores: await score(request, quantised, parts.scored),
    quantisation: {
      ...unscored.quantisation!,
      agreement: { images: stemsOf(parts.comparison), share },
      original: await score(request, original, parts.scored),
    },
  };
  await engine.unload(quantised.id);
  await writeCard(draft, card);
  return { card, exact };
}

async function checkChoice(model: FoundModel, target: ModelFolder): Promise<void> {
  if (model.card.quantisation)
    throw new ModelChoiceError(`${model.name}/${model.version} is quantised already`);
  if ((await stat(target.folder).catch(() => null)) !== null) throw existsError(model, target);
}

const existsError = ({ version }: FoundModel, target: ModelFolder): ModelChoiceError =>
  new ModelChoiceError(
    `${target.name}/${target.version} exists already: remove its folder to quantise version ${version} anew`,
  );

/** Which images are used for what. */
interface Parts {
  readonly calibration: readonly ImageFile[];
  readonly comparison: readonly ImageFile[];
  /** By the names under which their scores stand in the card. */
  readonly scored: Readonly<Record<string, readonly Pair[]>>;
}

function partsOf({ model: { card }, images, dataset }: QuantiseRequest): Parts {
  if (dataset === null) return { calibration: images, comparison: images, scored: {} };
  const { digest, split } = card.data;
  const isOwn = digest === `sha256:${dataset.digest}`;
  const heldOut = ['validation', 'test'].filter((part) => isOwn && split[part]!.length > 0);
  if (heldOut.length === 0) {
    return { calibration: images, comparison: images, scored: { calibration: dataset.pairs } };
  }
  const among = (names: readonly string[]) => (image: { readonly stem: string }) =>
    names.includes(image.stem);
  const others = heldOut.flatMap((part) => split[part]!);
  return {
    calibration: images.filter((image) => !among(others)(image)),
    comparison: images.filter(among(others)),
    scored: Object.fromEntries(heldOut.map((part) => [part, dataset.pairs.filter(among(split[part]!))])),
  };
}

const stemsOf = (images: readonly { readonly stem: string }[]): string[] => images.map(({ stem }) => stem);

/** The ranges of the feature maps, and of how many tiles. */
async function calibrate(
  { engine, model: { card, folder }, open }: QuantiseRequest,
  images: readonly ImageFile[],
): Promise<{ readonly ranges: Ranges; readonly tiles: number }> {
  const calibration = await engine.calibrate(folder);
  let tiles = 0;
  for await (const { raster, scale } of sampleTiles(images, { card, geometry: card.architecture, open })) {
    await calibration.observe({ ...raster, count: 1, ...scale });
    tiles++;
  }
  return { ranges: await calibration.ranges(), tiles };
}

/** The share of pixels to which two models give the same label. */
async function compare(
  { engine, open }: QuantiseRequest,
  models: readonly [EngineModel, EngineModel],
  images: readonly ImageFile[],
): Promise<number> {
  const [{ card, geometry }] = models;
  let pixels = 0;
  let equal = 0;
  for await (const { tile, raster, scale } of sampleTiles(images, { card, geometry, open })) {
    const [first, second] = await Promise.all(
      models.map(({ id }) =>
        engine.predict(id, { ...raster, data: raster.data.slice(), count: 1, ...scale }, 'labels'),
      ),
    );
    const across = within(raster, geometry.halo).width;
    const { crop } = tile;
    for (let y = crop.y; y < crop.y + crop.height; y++) {
      for (let x = crop.x; x < crop.x + crop.width; x++) {
        pixels++;
        if (first![y * across + x] === second![y * across + x]) equal++;
      }
    }
  }
  return Number((equal / pixels).toFixed(5));
}

/** How a version is computed: as it would be served where nothing was measured. */
const choiceOf = ({ engine }: QuantiseRequest, { card }: EngineModel): ComputeChoice =>
  defaultChoice(card, engine, { memory: DEFAULTS.memoryBytes });

async function score(
  request: QuantiseRequest,
  model: EngineModel,
  sets: Parts['scored'],
): Promise<Card['scores']> {
  const { engine, dataset, open } = request;
  const scores: Card['scores'] = {};
  const { classes, threshold = DEFAULT_THRESHOLD } = model.card;
  const thresholds = thresholdsWith(threshold);
  const names = classes.map(({ name }) => name);
  for (const [name, pairs] of Object.entries(sets)) {
    const evaluation = new Evaluation(names, thresholds);
    const options = {
      engine,
      model,
      choice: choiceOf(request, model),
      classes: names.length,
      thresholds,
      ...(open.signal && { signal: open.signal }),
    };
    for await (const prediction of predictions(pairs, dataset!, options))
      evaluation.add(prediction, threshold);
    scores[name] = evaluation.scores(threshold);
  }
  return scores;
}
