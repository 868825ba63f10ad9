import { mkdir, readdir, stat } from 'node:fs/promises';
import { join, parse, resolve } from 'node:path';
import { firstOf } from '../../tiling/planes.js';
import { isZarr } from '../../tiling/sources/zarr/zarr.js';
import { RequestError } from '../contract/errors.js';
import type { WorkSpec } from '../contract/job-spec.js';
import {
  FORMATS,
  type Format,
  formatOfFile,
  formatsOf,
  type IntoSource,
  namesFolder,
  type Output,
  stackFormatsOf,
} from '../contract/outputs.js';

/** An image to segment, and the file of its result. */
export interface Task {
  readonly input: string;
  readonly result: string;
  readonly format: Format;
  /** The place in the image itself, where it is written there. */
  readonly intoSource?: IntoSource;
}

/**
 * Pairs images with their results: one image with the named file; several, or a folder of them, with files of their own
 * names in the named folder, which is created.
 * @param isOfStacks whether each image is a stack, whose results have fewer formats; a folder is one if its result is one
 *   file
 * @throws RequestError where there are no images, several are to become one file, or two would have the same name
 */
export async function tasksOf(
  images: readonly string[],
  out: string,
  output: Output,
  isOfStacks = false,
): Promise<Task[]> {
  const folderNamed = !namesFolder(out) && ((await isFolder(out)) || parse(out).ext === '');
  const [only] = images;
  const isOneImage = images.length === 1 && (isOfStacks || !(await holdsImages(only!)));
  if (isOneImage && !folderNamed) {
    return [{ input: only!, result: out, format: formatOfFile(out) }];
  }
  if (!folderNamed)
    throw new RequestError('bad-request', `"${out}" is one file; several images need a folder`);
  await mkdir(out, { recursive: true });
  const inputs: string[] = [];
  for (const image of images) {
    if (!(await holdsImages(image))) inputs.push(image);
    else inputs.push(...(await filesOf(image)));
  }
  const [format] = isOfStacks ? stackFormatsOf(output) : formatsOf(output);
  const tasks = inputs.map((input) => ({
    input,
    result: join(out, `${parse(input).name}${FORMATS[format].ending}`),
    format,
  }));
  const seen = new Map<string, string>();
  for (const { input, result } of tasks) {
    const other = seen.get(result);
    if (other !== undefined)
      throw new RequestError('bad-request', `${other} and ${input} would both become ${result}`);
    seen.set(result, input);
  }
  if (tasks.length === 0)
    throw new RequestError('bad-request', `there are no images in ${images.join(', ')}`);
  return tasks;
}

/**
 * Images whose labels are written into their own stores.
 * @param name of the labels
 * @throws RequestError for an image that is no folder of an OME-Zarr
 */
export async function tasksInto(
  images: readonly string[],
  name: string,
  { level = 0, z, t }: WorkSpec['choice'],
): Promise<Task[]> {
  for (const image of images) {
    if ((await isFolder(image)) && (await isZarr(image))) continue;
    const what = /^https?:/.test(image)
      ? 'images are not written to by URL'
      : 'it is no folder of an OME-Zarr';
    throw new RequestError(
      'bad-request',
      `${image}: --into-source writes into the image itself, and ${what}`,
    );
  }
  return images.map((input) => ({
    input,
    result: join(input, 'labels', name),
    format: 'zarr',
    intoSource: { store: input, name, level, plane: { z: firstOf(z), t: firstOf(t) } },
  }));
}

/** @throws RequestError where a result would overwrite an image or another result */
export function checkOverwriting(tasks: readonly Task[], also: readonly { readonly path: string }[]): void {
  const taken = new Map(tasks.map(({ input }) => [resolve(input), 'the image itself']));
  for (const path of [...tasks.map(({ result }) => result), ...also.map((result) => result.path)]) {
    const what = taken.get(resolve(path));
    if (what) throw new RequestError('bad-request', `${path} is ${what}: give the result another name`);
    taken.set(resolve(path), 'another result');
  }
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found?.isDirectory() ?? false;
}

/** Whether a path is a folder of images, and not an image that is a folder. */
async function holdsImages(path: string): Promise<boolean> {
  return (await isFolder(path)) && !(await isZarr(path));
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.'));
  return files.map(({ name }) => join(folder, name)).sort();
}
