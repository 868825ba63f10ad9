import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { channelConversion, type Pixels } from '../model/normalize.js';
import { applySymmetry, randomIntensity, randomSymmetry } from '../model/train/augment.js';
import type { Random } from '../model/train/random.js';
import type { TrainingBatch } from '../model/train/trainer.js';
import { runs } from '../tiling/geometry.js';
import { readTile } from '../tiling/reader.js';
import type { ImageSource } from '../tiling/source.js';
import { openImage } from '../tiling/sources/open.js';
import type { OpenOptions } from '../tiling/sources/options.js';
import { RequestError } from './errors.js';

/** A picture and its labels. */
export interface Pair {
  readonly stem: string;
  readonly image: ImageSource;
  readonly labels: ImageSource;
}

export interface Dataset {
  /** By stem. */
  readonly pairs: readonly Pair[];
  /** What stored label value means which class. */
  readonly classOf: Uint8Array;
  /** Pixels of each class. */
  readonly frequencies: readonly number[];
  /** SHA-256 over the names and bytes of all files, by stem. */
  readonly digest: string;
  close(): Promise<void>;
}

/**
 * Opens a folder of images and a folder of labels, paired by file name without ending, and checks
 * all that can be checked before training: partners, sizes, channels, label values.
 *
 * @throws RequestError naming the file that is not as it must be
 */
export async function openDataset(
  folders: { readonly images: string; readonly labels: string },
  classes: number,
  inputChannels: number,
  options: OpenOptions,
): Promise<Dataset> {
  const images = await byStem(folders.images);
  const labels = await byStem(folders.labels);
  for (const [names, others, where] of [
    [images, labels, folders.labels],
    [labels, images, folders.images],
  ] as const) {
    const alone = [...names.keys()].find((stem) => !others.has(stem));
    if (alone !== undefined) throw bad(`${names.get(alone)} has no partner of that name in ${where}`);
  }
  if (images.size === 0) throw bad(`${folders.images} holds no images`);

  const pairs: Pair[] = [];
  const close = async () => {
    for (const { image, labels } of pairs) await Promise.all([image.close(), labels.close()]);
  };
  try {
    const hash = createHash('sha256');
    const values = new Float64Array(256);
    for (const [stem, path] of images) {
      const labelPath = labels.get(stem)!;
      const pair = {
        stem,
        image: await openImage(path, options),
        labels: await openImage(labelPath, options),
      };
      pairs.push(pair);
      checkPair(pair, path, labelPath, inputChannels);
      await countValues(pair.labels, values);
      for (const file of [path, labelPath]) {
        hash.update(`${parse(file).base}\0`);
        for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
      }
    }
    const classOf = classesOf(values, classes);
    const frequencies = Array<number>(classes).fill(0);
    for (const [value, count] of values.entries()) if (count > 0) frequencies[classOf[value]!]! += count;
    return { pairs, classOf, frequencies, digest: hash.digest('hex'), close };
  } catch (error) {
    await close();
    throw error;
  }
}

const bad = (message: string): RequestError => new RequestError('bad-data', message);

async function byStem(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new RequestError('bad-data', `${folder} is no folder that can be read`, { cause });
  });
  const files = new Map<string, string>();
  for (const { name } of entries.filter((e) => e.isFile() && !e.name.startsWith('.')).sort(byName)) {
    const stem = parse(name).name;
    if (files.has(stem)) throw bad(`${folder} holds two files named ${stem}`);
    files.set(stem, join(folder, name));
  }
  return files;
}

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);

function checkPair({ image, labels }: Pair, path: string, labelPath: string, inputChannels: number): void {
  const { width, height } = image.size;
  if (labels.size.width !== width || labels.size.height !== height) {
    throw bad(`${labelPath} is ${labels.size.width}×${labels.size.height} px, its image ${width}×${height}`);
  }
  if (labels.channels !== 1 || labels.dtype !== 'uint8') {
    throw bad(`${labelPath} is no label image: it must be gray, 8 bits`);
  }
  if (channelConversion(image.channels, inputChannels) === null) {
    throw bad(`${path} has ${image.channels} channels; the model takes ${inputChannels}`);
  }
}

async function countValues(labels: ImageSource, counts: Float64Array): Promise<void> {
  const { width, height } = labels.size;
  for (const { start, stop } of runs({ start: 0, stop: height }, 512)) {
    const { data } = await labels.readRegion({ x: 0, y: start, width, height: stop - start });
    for (let i = 0; i < data.length; i++) counts[data[i]!]!++;
  }
}

/** Label values are class indices, or 0 and 255 for two classes. */
function classesOf(counts: Float64Array, classes: number): Uint8Array {
  const present = [...counts.keys()].filter((value) => counts[value]! > 0);
  if (classes === 2 && present.every((value) => value === 0 || value === 255) && present.includes(255)) {
    return Uint8Array.from({ length: 256 }, (_, value) => (value === 255 ? 1 : 0));
  }
  const foreign = present.find((value) => value >= classes);
  if (foreign !== undefined) {
    const two = classes === 2 ? ', or 0 and 255' : '';
    throw bad(`the labels hold the value ${foreign}; ${classes} classes are 0 to ${classes - 1}${two}`);
  }
  return Uint8Array.from({ length: 256 }, (_, value) => value);
}

/**
 * Reads random crops: each lies anywhere in its image, and what its halo sees outside is mirrored as
 * serving would; then one of the eight symmetries, and a change of intensity.
 */
export async function randomBatch(
  pairs: readonly Pair[],
  classOf: Uint8Array,
  { count, side, halo }: { readonly count: number; readonly side: number; readonly halo: number },
  random: Random,
): Promise<TrainingBatch> {
  const out = side - 2 * halo;
  const [{ image: first }] = pairs as [Pair];
  const { channels } = first;
  const pixels = newPixels(first.dtype, count * side * side * channels);
  const labels = new Uint8Array(count * out * out);
  const gain = new Float32Array(count);
  const bias = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const { image, labels: truth } = pairs[random.integer(pairs.length)]!;
    const x = random.integer(Math.max(1, image.size.width - out + 1));
    const y = random.integer(Math.max(1, image.size.height - out + 1));
    const symmetry = randomSymmetry(random);
    const intensity = randomIntensity(random);
    const crop = await readTile(image, { x: x - halo, y: y - halo, width: side, height: side });
    const label = await readTile(truth, { x, y, width: out, height: out });
    pixels.set(applySymmetry(crop.data, side, channels, symmetry), i * crop.data.length);
    const turned = applySymmetry(label.data as Uint8Array, out, 1, symmetry);
    labels.set(
      turned.map((value) => classOf[value]!),
      i * out * out,
    );
    gain[i] = intensity.gain;
    bias[i] = intensity.bias;
  }
  return { pixels, labels, count, side, channels, gain, bias };
}

function newPixels(dtype: ImageSource['dtype'], length: number): Pixels {
  return dtype === 'uint8' ? new Uint8Array(length) : new Uint16Array(length);
}
