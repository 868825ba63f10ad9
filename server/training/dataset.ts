import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, parse } from 'node:path';
import type { Card } from '../../model/card.js';
import { channelConversion } from '../../model/pixels.js';
import { bytesOf, type ValueRange } from '../../tiling/raster.js';
import type { Border } from '../../tiling/reader.js';
import { type ImageSource, withFacts } from '../../tiling/source.js';
import { memorySource } from '../../tiling/sources/memory.js';
import { openImage } from '../../tiling/sources/open.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import { countPages } from '../../tiling/sources/tiff/tiff.js';
import { RequestError } from '../contract/errors.js';
import { instanceLabels } from './instances.js';
import { bandsOf, type RangeChoice, scaleIntensities } from './intensities.js';
import { IGNORED, LabelCodec, type LabelCounts, type LabelRules } from './labels.js';

/** A picture and its labels. */
export interface Pair {
  readonly stem: string;
  readonly image: ImageSource;
  readonly labels: ImageSource;
  /** The number of each pixel's cell, 0 for none, where labels number them. */
  readonly cells?: ImageSource;
}

export interface DatasetOptions extends LabelRules {
  /** Folders, paired by file name without ending, or two files of as many pages. */
  readonly images: string;
  readonly labels: string;
  readonly inputChannels: number;
  /** Which stored values are black and white. */
  readonly range: RangeChoice;
  /** What labels say outside their picture. */
  readonly labelBorder: Border;
  /** Whether labels number cells; of two classes. */
  readonly instances?: boolean;
}

export interface Dataset {
  /** By stem. */
  readonly pairs: readonly Pair[];
  readonly codec: LabelCodec;
  readonly labelBorder: Border;
  /** Pixels of each class in some of the pictures. */
  frequenciesOf(pairs: readonly Pair[]): readonly number[];
  /** The least and the greatest stored intensity of all pictures. */
  readonly intensities: ValueRange;
  /** Bytes of the pictures that are held in memory. */
  readonly heldBytes: number;
  /** How stored values have become the intensities of `pairs`, as a card states it. */
  readonly normalisation: Card['normalisation'];
  readonly warnings: readonly string[];
  /** SHA-256 over the names and bytes of all files, by stem. */
  readonly digest: string;
  close(): Promise<void>;
}

/** Pictures up to this size are held in memory, until together they take so many bytes. */
const SMALL_PX = 16e6;
const HELD_BYTES = 1e9;

/**
 * Opens images and labels, and checks all that can be checked before training: partners, sizes, channels,
 * label values.
 *
 * @throws RequestError naming the file that is not as it must be
 */
export async function openDataset(options: DatasetOptions, open: OpenOptions): Promise<Dataset> {
  const files = await pairsOf(options);
  const pairs: Pair[] = [];
  const close = async () => {
    for (const { image, labels } of pairs) await Promise.all([image.close(), labels.close()]);
  };
  try {
    const hash = createHash('sha256');
    const codec = new LabelCodec(options.instances ? { ...options, ignore: IGNORED } : options);
    const held = { bytes: 0 };
    // by the labels, since pairs are made anew with other intensities
    const counts = new Map<ImageSource, LabelCounts>();
    for (const { stem, image, labels, page } of files) {
      const labelled = await hold(await openImage(labels, { ...open, page, values: 'stored' }), held);
      const own = options.instances ? instanceLabels(labelled, options.ignore) : { classes: labelled };
      const pair: Pair = {
        stem,
        image: await hold(await openImage(image, { ...open, page, values: 'unscaled' }), held),
        labels: own.classes,
        ...('cells' in own && { cells: own.cells }),
      };
      pairs.push(pair);
      checkPair({ image: pair.image, labels: labelled }, image, labels, pairs[0]!, options);
      const values = new Map<number, number>();
      for await (const raster of bandsOf(pair.labels)) codec.count(raster, values);
      counts.set(pair.labels, values);
      open.signal?.throwIfAborted();
    }
    for (const file of new Set(files.flatMap(({ image, labels }) => [image, labels]))) {
      hash.update(`${parse(file).base}\0`);
      for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
    }
    codec.frequencies(); // refuses values that mean no class
    const scaled = await scaleIntensities(pairs, options.range);
    return {
      pairs: scaled.pairs,
      codec,
      labelBorder: options.labelBorder,
      heldBytes: held.bytes,
      frequenciesOf: (some) =>
        some
          .map((pair) => codec.frequencies(counts.get(pair.labels)))
          .reduce((all, own) => all.map((n, c) => n + own[c]!)),
      intensities: scaled.extent,
      normalisation: scaled.normalisation,
      warnings: scaled.warnings,
      digest: hash.digest('hex'),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const bad = (message: string): RequestError => new RequestError('bad-data', message);

interface PairOfFiles {
  readonly stem: string;
  readonly image: string;
  readonly labels: string;
  readonly page: number;
}

async function pairsOf({ images, labels }: DatasetOptions): Promise<PairOfFiles[]> {
  const [imagesAreFile, labelsAreFile] = [await isFile(images), await isFile(labels)];
  if (imagesAreFile !== labelsAreFile) {
    throw bad(`${images} and ${labels} must be two folders or two files with as many pages`);
  }
  if (imagesAreFile) {
    const [pages, others] = [await countPages(images), await countPages(labels)];
    if (pages !== others) throw bad(`${images} has ${pages} pages, ${labels} has ${others}`);
    const digits = String(pages - 1).length;
    return Array.from({ length: pages }, (_, page) => {
      return { stem: String(page).padStart(digits, '0'), image: images, labels, page };
    });
  }
  const [pictures, truths] = [await byStem(images), await byStem(labels)];
  for (const [names, others, where] of [
    [pictures, truths, labels],
    [truths, pictures, images],
  ] as const) {
    const alone = [...names.keys()].find((stem) => !others.has(stem));
    if (alone !== undefined) throw bad(`${names.get(alone)} has no partner of that name in ${where}`);
  }
  if (pictures.size === 0) throw bad(`${images} holds no images`);
  return [...pictures].map(([stem, image]) => ({ stem, image, labels: truths.get(stem)!, page: 0 }));
}

async function isFile(path: string): Promise<boolean> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new RequestError('bad-data', `${path} is neither a folder nor a file that can be read`, { cause });
  });
  return found.isFile();
}

async function byStem(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { withFileTypes: true });
  const files = new Map<string, string>();
  for (const { name } of entries.filter((e) => e.isFile() && !e.name.startsWith('.')).sort(byName)) {
    const stem = parse(name).name;
    if (files.has(stem)) throw bad(`${folder} holds two files named ${stem}`);
    files.set(stem, join(folder, name));
  }
  return files;
}

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);

/** Small pictures are read once; large ones stay on the disk, and are read by region. */
async function hold(source: ImageSource, held: { bytes: number }): Promise<ImageSource> {
  const { width, height } = source.size;
  const bytes = width * height * source.facts.channels * bytesOf(source.facts.dtype);
  if (width * height > SMALL_PX || held.bytes + bytes > HELD_BYTES) return source;
  held.bytes += bytes;
  const raster = await source.readRegion({ x: 0, y: 0, width, height });
  await source.close();
  return withFacts(memorySource(raster), { storedType: source.facts.storedType });
}

function checkPair(
  { image, labels }: Pick<Pair, 'image' | 'labels'>,
  path: string,
  labelPath: string,
  first: Pair,
  { inputChannels, legend }: DatasetOptions,
): void {
  const { width, height } = image.size;
  if (labels.size.width !== width || labels.size.height !== height) {
    throw bad(`${labelPath} is ${labels.size.width}×${labels.size.height} px, its image ${width}×${height}`);
  }
  if (legend === null && labels.facts.channels !== 1) {
    throw bad(
      `${labelPath} is in colour: say with --legend which colour means which class, or store class indices`,
    );
  }
  if (legend !== null && (labels.facts.channels !== 3 || labels.facts.dtype !== 'uint8')) {
    throw bad(`${labelPath} is not in colour with 8 bits a channel, as --legend asks for`);
  }
  if (image.facts.channels !== first.image.facts.channels) {
    throw bad(
      `${path} has ${image.facts.channels} channels, ${first.stem} has ${first.image.facts.channels}: store all alike`,
    );
  }
  if (channelConversion(image.facts.channels, inputChannels) === null) {
    throw bad(`${path} has ${image.facts.channels} channels; the model takes ${inputChannels}`);
  }
}
