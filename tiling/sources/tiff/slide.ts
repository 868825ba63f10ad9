import { UnsupportedImageError } from '../../errors.js';
import { firstOf, isStack, type Plane, type StackFacts } from '../../planes.js';
import type { PixelSize } from '../../source.js';
import { TAG } from '../../tiff/tags.js';
import { checkChannels, checkPlace, stackNotes } from '../choice.js';
import type { OpenOptions } from '../options.js';
import { believablePixelSize } from '../resolution.js';
import { isGlass, refusePage } from './associated.js';
import type { Directory } from './directory.js';
import { pagesOfGlass, parseOmeXml } from './ome-xml.js';
import { NeedsOpenSlide } from './refusals.js';
import type { TiffFile } from './tiff-file.js';

/** The pages of a picture, or of one plane of a stack. */
export interface TiffPlane {
  /** One page with all channels, or a page for each channel. */
  readonly pages: readonly Directory[];
  /** The same pages at smaller levels, the largest first. */
  readonly overviews: readonly (readonly Directory[])[];
}

/** Which pages of a TIFF make up a picture. */
export interface TiffSlide extends TiffPlane {
  readonly channelNames: readonly string[] | null;
  /** Of a stack: its size, and the pages of another plane. */
  readonly stack?: (StackFacts & { planeAt(plane: Plane): Promise<TiffPlane> }) | undefined;
  readonly mpp: PixelSize | null;
  readonly notes: readonly string[];
}

/** Levels of a pyramid: each has about a quarter of the pixels of the one before. */
const MAX_LEVELS = 64;
/** Micrometres per TIFF's ResolutionUnit: inch and centimetre. */
const UNIT_MICRONS: Record<number, number> = { 2: 25_400, 3: 10_000 };
const IMAGEJ_MICRONS: Record<string, number> = {
  micron: 1,
  um: 1,
  µm: 1,
  '\\u00B5m': 1,
  nm: 1e-3,
  mm: 1e3,
  cm: 1e4,
};

/**
 * Finds the requested picture among a TIFF's pages: by the OME-XML of an OME-TIFF, the description of a
 * Fiji hyperstack, or its number. The label and the macro image of a slide are never chosen, nor is Aperio's thumbnail.
 *
 * @throws UnsupportedImageError for a page, plane or time that does not exist
 * @throws NeedsOpenSlide for a slide in a scanner's own kind of TIFF
 */
export async function slideOf(file: TiffFile, options: OpenOptions): Promise<TiffSlide> {
  const [first] = file.pages as [Directory];
  const description = await first.text(TAG.description);
  const scanner = await scannerOf(first, description);
  if (scanner !== null) throw new NeedsOpenSlide(scanner);
  if (options.page === undefined) {
    if (/<(\w+:)?OME[\s>]/.test(description)) return omeSlide(file, description, options);
    if (description.startsWith('ImageJ=')) return imagejSlide(file, description, options);
  }
  return pageSlide(file, description, options);
}

/** The scanner whose slide this is, where its pages mean more than TIFF says; null for any other TIFF. */
async function scannerOf(first: Directory, description: string): Promise<string | null> {
  if (first.has(TAG.ndpi)) return 'a Hamamatsu NDPI slide';
  if (description.includes('http://www.leica-microsystems.com/scn')) return 'a Leica SCN slide';
  if ((await first.text(TAG.software)).startsWith('Philips')) return 'a Philips TIFF slide';
  if (first.has(TAG.xmp) && (await first.text(TAG.xmp)).includes('iScan')) return 'a Ventana BIF slide';
  return null;
}

/** One page, by its number, with the smaller versions that follow it. */
async function pageSlide(file: TiffFile, description: string, options: OpenOptions): Promise<TiffSlide> {
  const isAperio = description.startsWith('Aperio');
  const isOfPages = options.page === undefined && file.pages.length > 1 && !isAperio;
  if (isOfPages && (isStack(options) || firstOf(options.z) > 0)) return pageStack(file, description, options);
  const number = options.page ?? 0;
  checkPlace(options, { pages: file.pages.length }, number > 0 ? 'the TIFF' : 'the image');
  const page = file.pages[number]!;
  const isApart = number > 0 && (await isGlass(page));
  if (
    isApart ||
    (isAperio && number > 0 && !page.has(TAG.tileWidth)) ||
    pagesOfGlass(description).has(number)
  )
    throw refusePage(number);
  const overviews = await findOverviews(file, page, number, isAperio);
  const { mpp, notes } = await pixelSizeOf(page, isAperio ? aperioPixelSize(description) : null, options);
  return { pages: [page], channelNames: null, overviews: overviews.map((level) => [level]), mpp, notes };
}

/** All pages of a TIFF that says nothing of them, as planes in depth: they must be alike. */
async function pageStack(file: TiffFile, description: string, options: OpenOptions): Promise<TiffSlide> {
  const { pages, damage } = file;
  if (damage) throw damage;
  const glass = pagesOfGlass(description);
  const kindOf = async (page: Directory): Promise<string> => {
    const numbers = [TAG.width, TAG.height, TAG.bits, TAG.samples, TAG.sampleFormat].map(async (tag) =>
      Array.from(await page.numbers(tag)).join(),
    );
    return (await Promise.all(numbers)).join(';');
  };
  const [first] = pages as [Directory];
  const kind = await kindOf(first);
  for (const [number, page] of pages.entries()) {
    if (number > 0 && (glass.has(number) || (await isGlass(page)))) throw refusePage(number);
    if ((await kindOf(page)) === kind) continue;
    throw new UnsupportedImageError(
      `page ${number} of this TIFF has another size or type than page 0, so its pages are no stack: choose one with page`,
    );
  }
  const sizes = { sizeZ: pages.length, sizeT: 1 };
  checkPlace(options, sizes);
  const planeAt = async ({ z }: Plane): Promise<TiffPlane> => {
    const children = await file.children(pages[z]!);
    return { pages: [pages[z]!], overviews: children.map((level) => [level]) };
  };
  const { mpp, notes } = await pixelSizeOf(first, null, options);
  const own = await planeAt(firstPlane(options));
  return { ...own, channelNames: null, stack: { ...sizes, planeAt }, mpp, notes };
}

const firstPlane = ({ z, t }: OpenOptions): Plane => ({ z: firstOf(z), t: firstOf(t) });

async function omeSlide(file: TiffFile, xml: string, options: OpenOptions): Promise<TiffSlide> {
  const image = parseOmeXml(xml, file.pages.length);
  checkPlace(options, image);
  checkChannels(image.sizeC);
  const planeAt = async ({ z, t }: Plane): Promise<TiffPlane> => {
    const pages = Array.from({ length: image.sizeC }, (_, c) => {
      const page = image.pageOf(c, z, t);
      const directory = page === null ? undefined : file.pages[page];
      if (!directory) {
        throw new UnsupportedImageError(`the plane of channel ${c}, z ${z}, t ${t} is not in this OME-TIFF`);
      }
      return directory;
    });
    const levels = await Promise.all(pages.map((page) => file.children(page)));
    const depth = Math.min(...levels.map(({ length }) => length));
    return { pages, overviews: Array.from({ length: depth }, (_, i) => levels.map((level) => level[i]!)) };
  };
  const own = await planeAt(firstPlane(options));
  const size = await pixelSizeOf(own.pages[0]!, image.mpp, options);
  const { sizeZ, sizeT, zMicrons } = image;
  return {
    ...own,
    channelNames: image.channelNames,
    stack: stackSlide({ sizeZ, sizeT, zMicrons }, planeAt),
    mpp: size.mpp,
    notes: [...stackNotes(options, image.sizeZ, image.sizeT), ...size.notes],
  };
}

/** A file's planes; undefined where it has one. */
const stackSlide = (size: StackFacts, planeAt: (plane: Plane) => Promise<TiffPlane>): TiffSlide['stack'] =>
  size.sizeZ * size.sizeT > 1 ? { ...size, planeAt } : undefined;

/** Fiji stores the planes of a hyperstack as pages: channels first, then depth, then time. */
async function imagejSlide(file: TiffFile, description: string, options: OpenOptions): Promise<TiffSlide> {
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}=(.*)$`, 'm').exec(description)?.[1];
  const count = (name: string): number => {
    const text = field(name)?.trim() ?? '1';
    return /^\d{1,9}$/.test(text) ? Math.max(1, Number(text)) : 1;
  };
  let [sizeC, sizeZ, sizeT] = [count('channels'), count('slices'), count('frames')];
  if (sizeC * sizeZ * sizeT > file.pages.length && file.damage) throw file.damage;
  if (sizeC * sizeZ * sizeT > file.pages.length) [sizeC, sizeZ, sizeT] = [1, file.pages.length, 1];
  checkPlace(options, { sizeZ, sizeT });
  checkChannels(sizeC);
  const [first] = file.pages as [Directory];
  const micron = IMAGEJ_MICRONS[field('unit') ?? ''];
  const spacing = Number(field('spacing')?.slice(0, 40));
  const [x, y] = [await first.number(TAG.xResolution, 0), await first.number(TAG.yResolution, 0)];
  const size = await pixelSizeOf(
    first,
    micron && x > 0 && y > 0 ? { x: micron / x, y: micron / y } : null,
    options,
  );
  const planeAt = async ({ z, t }: Plane): Promise<TiffPlane> => ({
    pages: Array.from({ length: sizeC }, (_, c) => file.pages[(t * sizeZ + z) * sizeC + c]!),
    overviews: [],
  });
  return {
    ...(await planeAt(firstPlane(options))),
    channelNames: sizeC > 1 ? Array.from({ length: sizeC }, (_, i) => `channel ${i}`) : null,
    stack: stackSlide(
      { sizeZ, sizeT, zMicrons: micron && spacing > 0 ? spacing * micron : undefined },
      planeAt,
    ),
    mpp: size.mpp,
    notes: [...stackNotes(options, sizeZ, sizeT), ...size.notes],
  };
}

/** Finds smaller versions of a page: its SubIFDs, or the following pages marked as such, or tiled ones of Aperio. */
async function findOverviews(
  file: TiffFile,
  page: Directory,
  number: number,
  isAperio: boolean,
): Promise<Directory[]> {
  const children = await file.children(page);
  if (children.length > 0) return children;
  const sizeOf = async (of: Directory) =>
    [await of.number(TAG.width, 0), await of.number(TAG.height, 0)] as const;
  const [width, height] = await sizeOf(page);
  const overviews: Directory[] = [];
  for (const next of file.pages.slice(number + 1)) {
    const isReduced = ((await next.number(TAG.newSubfileType, 0)) & 1) === 1;
    if (!isAperio && !isReduced) break;
    const [w, h] = await sizeOf(next);
    if (overviews.length === MAX_LEVELS) break;
    const isSamePicture = Math.abs((w * height) / (h * width) - 1) < 0.02 && w < width;
    if (isSamePicture && (!isAperio || next.has(TAG.tileWidth))) overviews.push(next);
  }
  return overviews;
}

/** The pixel size that the image's own metadata state or, failing that, the one of the resolution tags. */
async function pixelSizeOf(
  page: Directory,
  stated: PixelSize | null,
  { mpp: given }: OpenOptions,
): Promise<Pick<TiffSlide, 'mpp' | 'notes'>> {
  if (stated) return { mpp: stated, notes: [] };
  const unit = UNIT_MICRONS[await page.number(TAG.resolutionUnit, 2)];
  const [x, y] = [await page.number(TAG.xResolution, 0), await page.number(TAG.yResolution, 0)];
  const isKnown = unit && x > 0 && y > 0 && Number.isFinite(x + y);
  return believablePixelSize(isKnown ? { x: unit / x, y: unit / y } : null, given);
}

function aperioPixelSize(description: string): PixelSize | null {
  const mpp = Number(/\|\s*MPP\s*=\s*([\d.]+)/.exec(description)?.[1]);
  return mpp > 0 ? { x: mpp, y: mpp } : null;
}
