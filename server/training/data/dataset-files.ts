import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, parse, relative } from 'node:path';
import { countPages } from '../../../tiling/sources/tiff/tiff.js';
import { isZarr } from '../../../tiling/sources/zarr/zarr.js';
import { RequestError } from '../../contract/errors.js';

/** The files of an image and its labels. */
export interface PairFiles {
  /** The file name without its extension, or the page's number. */
  readonly stem: string;
  readonly image: string;
  readonly labels: string;
  /** The page in both files, from 0; null where a file is one image. */
  readonly page: number | null;
}

/**
 * Pairs the files of two folders by name without extension, or the pages of two files, sorted by stem.
 * @throws RequestError `bad-data` naming what has no partner
 */
export async function findPairs(images: string, labels: string): Promise<PairFiles[]> {
  const [isStack, isLabelStack] = [await isFile(images), await isFile(labels)];
  if (isStack !== isLabelStack) {
    throw bad(`${images} and ${labels} must be two folders, or two files with the same number of pages`);
  }
  return isStack ? pairPages(images, labels) : pairFolders(images, labels);
}

async function pairPages(images: string, labels: string): Promise<PairFiles[]> {
  const [pages, labelPages] = [await countPages(images), await countPages(labels)];
  if (pages !== labelPages) throw bad(`${images} has ${pages} pages, ${labels} has ${labelPages}`);
  return pagesOf(images, pages).map((page) => ({ ...page, labels }));
}

async function pairFolders(images: string, labels: string): Promise<PairFiles[]> {
  const [imageFiles, labelFiles] = [await byStem(images), await byStem(labels)];
  for (const [files, others, folder] of [
    [imageFiles, labelFiles, labels],
    [labelFiles, imageFiles, images],
  ] as const) {
    const alone = [...files.keys()].find((stem) => !others.has(stem));
    if (alone !== undefined) throw bad(`${files.get(alone)} has no partner of that name in ${folder}`);
  }
  if (imageFiles.size === 0) throw bad(`${images} holds no images`);
  return [...imageFiles].map(([stem, image]) => ({ stem, image, labels: labelFiles.get(stem)!, page: null }));
}

/** An image, alone. */
export type ImageFile = Pick<PairFiles, 'stem' | 'image' | 'page'>;

/**
 * The images of a folder, or the pages of a file, sorted by stem.
 * @throws RequestError `bad-data` where there are none
 */
export async function findImages(path: string): Promise<ImageFile[]> {
  if (await isFile(path)) return pagesOf(path, await countPages(path));
  const files = await byStem(path);
  if (files.size === 0) throw bad(`${path} holds no images`);
  return [...files].map(([stem, image]) => ({ stem, image, page: null }));
}

/** The pages of a file; their numbers have the same number of digits. */
function pagesOf(image: string, pages: number): ImageFile[] {
  const digits = String(pages - 1).length;
  return Array.from({ length: pages }, (_, page) => {
    return { stem: String(page).padStart(digits, '0'), image, page };
  });
}

/** SHA-256 over the names and bytes of all files, in hex. */
export async function digestOf(pairs: readonly PairFiles[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of new Set(pairs.flatMap(({ image, labels }) => [image, labels]))) {
    for (const file of await filesOf(path)) {
      hash.update(`${join(parse(path).base, relative(path, file))}\0`);
      for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
    }
  }
  return hash.digest('hex');
}

/** The files of an image: itself, or those of the folder that it is, in the order of their names. */
async function filesOf(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const entries = await readdir(path, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map(({ parentPath, name }) => join(parentPath, name)).sort();
}

async function isFile(path: string): Promise<boolean> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new RequestError('bad-data', `${path} is neither a folder nor a readable file`, { cause });
  });
  return found.isFile();
}

async function byStem(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { withFileTypes: true });
  const files = new Map<string, string>();
  for (const entry of entries.filter(({ name }) => !name.startsWith('.')).sort(byName)) {
    const { name } = entry;
    const isImage = entry.isFile() || (entry.isDirectory() && (await isZarr(join(folder, name))));
    if (!isImage) continue;
    const stem = parse(name).name.replace(/\.ome$/i, ''); // of image.ome.tif and image.ome.zarr
    if (files.has(stem)) throw bad(`${folder} holds two files named ${stem}`);
    files.set(stem, join(folder, name));
  }
  return files;
}

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);

const bad = (message: string): RequestError => new RequestError('bad-data', message);
