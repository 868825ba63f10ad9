import { channelConversion } from '../../../model/network/pixels.js';
import type { Card } from '../../../model/shelf/card.js';
import { bytesOf, type ValueRange } from '../../../tiling/raster.js';
import type { Border } from '../../../tiling/reader.js';
import { type ImageSource, withFacts } from '../../../tiling/source.js';
import { memorySource } from '../../../tiling/sources/memory.js';
import { openImage } from '../../../tiling/sources/open.js';
import type { OpenOptions } from '../../../tiling/sources/options.js';
import { RequestError } from '../../contract/errors.js';
import { digestOf, findPairs, type PairFiles } from './dataset-files.js';
import type { NetworkInput } from './image-channels.js';
import { instanceLabels } from './instances.js';
import { bandsOf, type RangeChoice, scaleIntensities } from './intensities.js';
import { countLabels, IGNORED, LabelCodec, type LabelCounts, type LabelRules } from './labels.js';

/** An image and its labels. */
export interface Pair {
  readonly stem: string;
  readonly image: ImageSource;
  readonly labels: ImageSource;
  /** The number of each pixel's cell, 0 for none, if the labels are instances. */
  readonly cells?: ImageSource;
}

export interface DatasetOptions extends LabelRules, NetworkInput {
  /** Two folders, paired by file name without extension, or two files with the same number of pages. */
  readonly images: string;
  readonly labels: string;
  /** Which stored values are black and white. */
  readonly range: RangeChoice;
  /** How labels are continued outside their image. */
  readonly labelBorder: Border;
  /** Whether each cell has its own number in the labels; only for two classes. Default false. */
  readonly instances?: boolean;
}

export interface Dataset {
  /** Sorted by stem. */
  readonly pairs: readonly Pair[];
  readonly codec: LabelCodec;
  readonly labelBorder: Border;
  /** Pixels of each class in these pairs. */
  frequenciesOf(pairs: readonly Pair[]): readonly number[];
  /** The least and the greatest stored intensity of all images. */
  readonly intensities: ValueRange;
  /** Bytes of the images that are held in memory. */
  readonly heldBytes: number;
  /** How stored values became the intensities of `pairs`, as a card states it. */
  readonly normalisation: Card['normalisation'];
  readonly warnings: readonly string[];
  /** SHA-256 over the names and bytes of all files, in hex. */
  readonly digest: string;
  close(): Promise<void>;
}

/** Images up to this size are held in memory, as long as all of them together take at most `MAX_HELD_BYTES`. */
const MAX_HELD_PIXELS = 16e6;
const MAX_HELD_BYTES = 1e9;

/**
 * Opens images and labels, and checks before training what can be checked: partners, sizes, channels, label values.
 * @throws RequestError `bad-data` naming the file that is wrong, and how
 */
export async function openDataset(options: DatasetOptions, open: OpenOptions): Promise<Dataset> {
  const files = await findPairs(options.images, options.labels);
  const pairs: Pair[] = [];
  const close = async () => {
    for (const { image, labels } of pairs) await Promise.all([image.close(), labels.close()]);
  };
  try {
    const budget = { heldBytes: 0 };
    for (const file of files) {
      pairs.push(await openPair(file, pairs[0], options, open, budget));
      open.signal?.throwIfAborted();
    }
    const digest = await digestOf(files);
    const { codec, countsOf } = await surveyLabels(pairs, options, open.signal);
    const scaled = await scaleIntensities(pairs, options.range, options);
    return {
      pairs: scaled.pairs,
      codec,
      labelBorder: options.labelBorder,
      heldBytes: budget.heldBytes,
      frequenciesOf: (some) =>
        some
          .map((pair) => codec.frequencies(countsOf(pair)))
          .reduce((all, own) => all.map((n, c) => n + own[c]!)),
      intensities: scaled.extent,
      normalisation: scaled.normalisation,
      warnings: scaled.warnings,
      digest,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openPair(
  files: PairFiles,
  first: Pair | undefined,
  options: DatasetOptions,
  open: OpenOptions,
  budget: { heldBytes: number },
): Promise<Pair> {
  const { stem, page } = files;
  const labelled = { ...open, page: page ?? 0, values: 'stored' } as const;
  const stored = await hold(await openImage(files.labels, labelled), budget);
  try {
    const image = await hold(await openImage(files.image, optionsFor(files, options, open)), budget);
    try {
      checkPair(image, stored, files, first, options);
    } catch (error) {
      await image.close();
      throw error;
    }
    if (!options.instances) return { stem, image, labels: stored };
    const { classes, cells } = instanceLabels(stored, options.ignore);
    return { stem, image, labels: classes, cells };
  } catch (error) {
    await stored.close();
    throw error;
  }
}

/** How an image is opened: of gray and colours its first page, in which earlier trainings have read any file. */
function optionsFor(
  { page }: PairFiles,
  { channels, inputChannels }: DatasetOptions,
  open: OpenOptions,
): OpenOptions {
  const isPlain = !channels && (inputChannels === 1 || inputChannels === 3);
  return {
    ...open,
    values: 'unscaled',
    ...((page !== null || isPlain) && { page: page ?? 0 }),
    ...(channels && (channels.indexes ? { channels: channels.indexes } : { wanted: channels.named })),
  };
}

/** Counts the values of all labels. The codec refuses those that mean no class. */
async function surveyLabels(
  pairs: readonly Pair[],
  options: DatasetOptions,
  signal: AbortSignal | undefined,
) {
  const all = new Map<number, number>();
  // keyed by the labels: pairs are replaced when their intensities are scaled
  const each = new Map<ImageSource, LabelCounts>();
  for (const { labels } of pairs) {
    const counts = new Map<number, number>();
    for await (const raster of bandsOf(labels)) countLabels(raster, counts);
    each.set(labels, counts);
    for (const [value, n] of counts) all.set(value, (all.get(value) ?? 0) + n);
    signal?.throwIfAborted();
  }
  const codec = new LabelCodec(options.instances ? { ...options, ignore: IGNORED } : options, all);
  return { codec, countsOf: (pair: Pair) => each.get(pair.labels) };
}

/** Reads a small image into memory, within a budget; large ones stay on the disk and are read by region. */
async function hold(source: ImageSource, budget: { heldBytes: number }): Promise<ImageSource> {
  const { width, height } = source.size;
  const bytes = width * height * source.facts.channels * bytesOf(source.facts.dtype);
  if (width * height > MAX_HELD_PIXELS || budget.heldBytes + bytes > MAX_HELD_BYTES) return source;
  budget.heldBytes += bytes;
  const raster = await source.readRegion({ x: 0, y: 0, width, height });
  await source.close();
  return withFacts(memorySource(raster), { storedType: source.facts.storedType });
}

function checkPair(
  image: ImageSource,
  labels: ImageSource,
  files: PairFiles,
  first: Pair | undefined,
  { inputChannels, channels, legend }: DatasetOptions,
): void {
  const { width, height } = image.size;
  if (labels.size.width !== width || labels.size.height !== height) {
    const { size } = labels;
    throw bad(`${files.labels} is ${size.width}×${size.height} px, its image ${width}×${height}`);
  }
  if (legend === null && labels.facts.channels !== 1) {
    throw bad(
      `${files.labels} is in colour: name the class of each colour with --legend, or store class indices`,
    );
  }
  if (legend !== null && (labels.facts.channels !== 3 || labels.facts.dtype !== 'uint8')) {
    throw bad(`${files.labels} is not in colour with 8 bits per channel, which --legend requires`);
  }
  if (first && image.facts.channels !== first.image.facts.channels) {
    throw bad(
      `${files.image} has ${image.facts.channels} channels, ${first.stem} has ${first.image.facts.channels}: all images must have the same`,
    );
  }
  const isUnlike = channels && image.facts.channels !== inputChannels;
  if (isUnlike || channelConversion(image.facts.channels, inputChannels) === null) {
    throw bad(`${files.image} has ${image.facts.channels} channels; the model takes ${inputChannels}`);
  }
}

const bad = (message: string): RequestError => new RequestError('bad-data', message);
