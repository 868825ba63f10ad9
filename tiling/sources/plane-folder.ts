import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { UnsupportedImageError } from '../errors.js';
import { firstOf, MAX_PLANES, type Plane, type StackSize } from '../planes.js';
import { type ImageSource, withFacts, withMembers } from '../source.js';
import { checkPlace } from './choice.js';
import type { OpenOptions } from './options.js';

/** The files of a stack, as microscopes and Fiji's image sequences name them: `img_t000_z003.tif`, `img0003.tif`. */
export interface PlaneFolder extends StackSize {
  /** The file of a plane; its indices count the numbers in names, in their order. */
  fileOf(plane: Plane): string;
}

/** Files with these endings are planes; all others, such as notes and metadata, are not looked at. */
const IMAGE = /\.(tiff?|png|jpe?g|webp|gif|avif)$/i;
/** `z003`, `t12`, `c1` or `ch1`, where no letter comes before. */
const TOKEN = /(?<![a-z])(z|t|ch?)[-_]?(\d{1,9})(?!\d)/gi;
const LAST_NUMBER = /\d{1,9}(?=\D*$)/;

/** What a file's name says of its plane, and the rest of it, which all files have in common. */
interface PlaneName {
  readonly name: string;
  readonly rest: string;
  readonly z: number;
  readonly t: number;
  readonly c: number;
}

/**
 * Lists the planes in a folder of numbered files: `z` and `t` before a number say what it counts; where nothing does, the
 * last number of a name is that of the plane in depth. Numbers may begin anywhere and have gaps. Links are not followed.
 * Errors name no files, since not everyone who sees them may know these.
 *
 * @throws UnsupportedImageError for a folder whose files are no stack
 */
export async function planesInFolder(folder: string): Promise<PlaneFolder> {
  const names: PlaneName[] = [];
  for await (const entry of await opendir(folder)) {
    if (!entry.isFile() || entry.name.startsWith('.') || !IMAGE.test(entry.name)) continue;
    names.push(parseName(entry.name));
    if (names.length > MAX_PLANES) throw noStack(`it has more than ${MAX_PLANES} images`);
  }
  const [first] = names;
  if (!first) throw noStack('it has no images');
  if (names.some(({ rest }) => rest !== first.rest)) {
    throw noStack('its images are not named alike but for their numbers');
  }
  if (names.some(({ c }) => c !== first.c)) {
    throw noStack(
      'each channel has files of its own: choose one of them, or save all channels of a plane in one file',
    );
  }
  const [depths, times] = [distinct(names.map(({ z }) => z)), distinct(names.map(({ t }) => t))];
  const files = new Map(names.map(({ name, z, t }) => [`${z}/${t}`, name]));
  if (files.size < names.length) throw noStack('two of its images have the same number');
  if (files.size < depths.length * times.length) {
    throw noStack(
      `it has ${files.size} images of ${depths.length} planes in depth and ${times.length} times: some are missing`,
    );
  }
  return {
    sizeZ: depths.length,
    sizeT: times.length,
    fileOf: ({ z, t }) => join(folder, files.get(`${depths[z]}/${times[t]}`)!),
  };
}

/**
 * Opens a folder of numbered planes as a stack.
 * @param openFile opens one of its files, whose values and channels are as requested
 */
export async function openPlaneFolder(
  folder: string,
  options: OpenOptions,
  openFile: (path: string, options: OpenOptions) => Promise<ImageSource>,
): Promise<ImageSource> {
  const planes = await planesInFolder(folder);
  const { sizeZ, sizeT } = planes;
  checkPlace(options, planes, 'the folder');
  const { z, t, ...others } = options;
  const open = async (plane: Plane): Promise<ImageSource> => {
    const source = await openFile(planes.fileOf(plane), { ...others, singleFile: true });
    if (!source.facts.stack) return withFacts(source, { stack: { sizeZ, sizeT } });
    await source.close();
    throw noStack('its images are stacks themselves: each is an image of its own');
  };
  return withMembers(await open({ z: firstOf(z), t: firstOf(t) }), { openPlane: open });
}

function parseName(name: string): PlaneName {
  const numbers = { z: 0, t: 0, c: 0 };
  let hasPlane = false;
  let rest = name.replace(TOKEN, (_, kind: string, digits: string) => {
    const axis = kind[0]!.toLowerCase() as keyof typeof numbers;
    numbers[axis] = Number(digits);
    hasPlane ||= axis !== 'c';
    return `<${axis}>`;
  });
  if (!hasPlane) {
    rest = rest.replace(LAST_NUMBER, (digits) => {
      numbers.z = Number(digits);
      return '<z>';
    });
  }
  return { name, rest, ...numbers };
}

const distinct = (numbers: readonly number[]): number[] => [...new Set(numbers)].sort((a, b) => a - b);

const noStack = (why: string): UnsupportedImageError =>
  new UnsupportedImageError(`the images in this folder are no stack: ${why}`);
