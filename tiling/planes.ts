import { ImageTooLargeError, TooManyPlanesError, UnsupportedImageError } from './errors.js';
import type { Size } from './geometry.js';

/**
 * Which planes in depth, or which times, of a stack: all, or intervals of indices from 0, both ends included and
 * ascending, such as `[[0, 4], [7, 7]]`.
 */
export type PlaneRanges = 'all' | readonly (readonly [first: number, last: number])[];

/** A plane of a stack by its indices, which count from 0. */
export interface Plane {
  readonly z: number;
  readonly t: number;
}

/** How many planes a stack has. */
export interface StackSize {
  readonly sizeZ: number;
  readonly sizeT: number;
}

/** A stack as its file describes it. */
export interface StackFacts extends StackSize {
  /** The distance of neighbouring planes in depth, in micrometres; undefined where that is not known. */
  readonly zMicrons?: number | undefined;
}

/** The planes that are chosen of a stack. */
export interface ChosenPlanes extends StackSize {
  /** The planes of a time after each other, then those of the next: `sizeZ · sizeT`. */
  readonly planes: readonly Plane[];
}

/** What is chosen along both axes. A number is one plane, and no stack; undefined is the first. */
export interface PlaneChoice {
  readonly z?: number | PlaneRanges | undefined;
  readonly t?: number | PlaneRanges | undefined;
}

/** How many planes a job may have: as many as a TIFF has pages. */
export const MAX_PLANES = 65_536;

/** Whether a choice is of a stack, even of one plane: its results have the axes of one. */
export const isStack = ({ z, t }: PlaneChoice): boolean => isRanges(z) || isRanges(t);

const isRanges = (chosen: number | PlaneRanges | undefined): chosen is PlaneRanges =>
  typeof chosen === 'object' || chosen === 'all';

/** The index along an axis that is opened first: that of an image which stands for its stack. */
export function firstOf(chosen: number | PlaneRanges | undefined): number {
  if (!isRanges(chosen)) return chosen ?? 0;
  return chosen === 'all' ? 0 : (chosen[0]?.[0] ?? 0);
}

/** The last index that is chosen along an axis of a length. */
function lastOf(chosen: number | PlaneRanges | undefined, length: number): number {
  if (!isRanges(chosen)) return chosen ?? 0;
  return chosen === 'all' ? length - 1 : (chosen.at(-1)?.[1] ?? 0);
}

/**
 * Lists the chosen planes of a stack.
 * @param stack undefined for an image of one plane
 * @throws UnsupportedImageError for a plane that is not there
 * @throws TooManyPlanesError
 */
export function planesOf(
  choice: PlaneChoice,
  { sizeZ, sizeT }: StackSize = { sizeZ: 1, sizeT: 1 },
): ChosenPlanes {
  checkPlanes(choice, { sizeZ, sizeT });
  const count = countOf(choice.z, sizeZ) * countOf(choice.t, sizeT); // before any is listed: a file may claim billions
  if (count > MAX_PLANES) throw new TooManyPlanesError(count, MAX_PLANES);
  const depths = indicesOf(choice.z, sizeZ);
  const times = indicesOf(choice.t, sizeT);
  const planes = times.flatMap((t) => depths.map((z) => ({ z, t })));
  return { planes, sizeZ: depths.length, sizeT: times.length };
}

/**
 * @param what the error calls the image, such as "the TIFF"
 * @throws UnsupportedImageError for a plane or time that a stack does not have
 */
export function checkPlanes({ z, t }: PlaneChoice, { sizeZ, sizeT }: StackSize, what = 'the image'): void {
  for (const [name, chosen, length] of [
    ['plane z', z, sizeZ],
    ['time t', t, sizeT],
  ] as const) {
    const last = lastOf(chosen, length);
    if (last < length) continue;
    throw new UnsupportedImageError(`there is no ${name} ${last}: ${what} has ${length}, from 0`);
  }
}

/** The chosen indices along an axis, as intervals. */
function intervalsOf(
  chosen: number | PlaneRanges | undefined,
  length: number,
): readonly (readonly [first: number, last: number])[] {
  if (!isRanges(chosen)) return [[chosen ?? 0, chosen ?? 0]];
  return chosen === 'all' ? [[0, length - 1]] : chosen;
}

const countOf = (chosen: number | PlaneRanges | undefined, length: number): number =>
  intervalsOf(chosen, length).reduce((sum, [from, to]) => sum + to - from + 1, 0);

function indicesOf(chosen: number | PlaneRanges | undefined, length: number): number[] {
  return intervalsOf(chosen, length).flatMap(([from, to]) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i),
  );
}

/**
 * The pixels of all planes count against the limit of an image.
 * @throws ImageTooLargeError
 */
export function checkStackPixels({ width, height }: Size, planes: number, maxPixels: number): void {
  if (width * height * planes > maxPixels) throw new ImageTooLargeError(width, height, maxPixels, planes);
}

/** The indices along both axes of chosen planes, as `parsePlaneRanges` reads them: `0-4`. */
export function rangesOf({ planes, sizeZ }: ChosenPlanes): { readonly z: string; readonly t: string } {
  return {
    z: rangesText(planes.slice(0, sizeZ).map(({ z }) => z)),
    t: rangesText(planes.filter((_, i) => i % sizeZ === 0).map(({ t }) => t)),
  };
}

function rangesText(indices: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const index of indices) {
    const last = ranges.at(-1);
    if (last && last[1] === index - 1) last[1] = index;
    else ranges.push([index, index]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

/** The intervals of a text such as `all`, `0-4` or `0,2,5-7`; null for anything else. */
export function parsePlaneRanges(text: string): PlaneRanges | null {
  if (text === 'all') return 'all';
  const ranges: [number, number][] = [];
  for (const part of text.split(',')) {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part);
    if (!match) return null;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || first <= (ranges.at(-1)?.[1] ?? -1)) return null;
    ranges.push([first, last]);
  }
  return ranges;
}
