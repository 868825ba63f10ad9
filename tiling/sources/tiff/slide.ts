import { UnsupportedImageError } from '../../errors.js';
import type { PixelSize } from '../../source.js';
import { checkChannels, checkPlace, stackNotes } from '../choice.js';
import type { OpenOptions } from '../options.js';
import { resolutionSize } from '../resolution.js';
import type { Directory, TiffFile } from './directory.js';
import { parseOmeXml } from './ome-xml.js';
import { TAG } from './tags.js';

/** Which pages of a TIFF make up a picture. */
export interface TiffSlide {
  /** A page for each picture of one channel, or one page of all channels. */
  readonly planes: readonly Directory[];
  readonly channelNames: readonly string[] | null;
  /** The same pages of smaller levels, the largest first. */
  readonly overviews: readonly (readonly Directory[])[];
  readonly mpp: PixelSize | null;
  readonly notes: readonly string[];
}

/** For slides in TIFFs of a scanner's own making; the message says what they are. */
export class LeaveToOpenSlide extends UnsupportedImageError {}

/** @throws LeaveToOpenSlide for a slide whose pages mean more than TIFF says */
async function leaveScanners(first: Directory, description: string): Promise<void> {
  const leave = (what: string): never => {
    throw new LeaveToOpenSlide(what);
  };
  if (first.has(TAG.ndpi)) leave('a Hamamatsu NDPI slide');
  if (description.includes('http://www.leica-microsystems.com/scn')) leave('a Leica SCN slide');
  if ((await first.text(TAG.software)).startsWith('Philips')) leave('a Philips TIFF slide');
  if (first.has(TAG.xmp) && (await first.text(TAG.xmp)).includes('iScan')) leave('a Ventana BIF slide');
}

/** Levels of a pyramid at most: each has a quarter of the pixels of the one before, or nearly. */
const MAX_LEVELS = 64;
/** Micrometres of TIFF's ResolutionUnit: inch and centimetre. */
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
 * Finds the picture that is asked for among a TIFF's pages: by the OME-XML of an OME-TIFF, the
 * description of a Fiji hyperstack, or its number. Labels, macros and thumbnails that an Aperio slide
 * carries beside it are never taken.
 *
 * @throws UnsupportedImageError for a page, plane or time that is not there
 */
export async function slideOf(file: TiffFile, options: OpenOptions): Promise<TiffSlide> {
  const [first] = file.pages as [Directory];
  const description = await first.text(TAG.description);
  await leaveScanners(first, description);
  if (options.page === undefined) {
    if (/<(\w+:)?OME[\s>]/.test(description)) return omeSlide(file, description, options);
    if (description.startsWith('ImageJ=')) return imagejSlide(file, description, options);
  }
  const number = options.page ?? 0;
  checkPlace(options, { pages: file.pages.length }, number > 0 ? 'the TIFF' : 'the image');
  const page = file.pages[number]!;
  const aperio = description.startsWith('Aperio');
  if (aperio && number > 0 && !page.has(TAG.tileWidth)) {
    throw new UnsupportedImageError(`page ${number} of this slide is its label, macro image or thumbnail`);
  }
  return {
    planes: [page],
    channelNames: null,
    overviews: (await smaller(file, page, number, aperio)).map((level) => [level]),
    ...(await pixelSizeOf(page, aperio ? aperioPixelSize(description) : null, options)),
  };
}

async function omeSlide(file: TiffFile, xml: string, options: OpenOptions): Promise<TiffSlide> {
  const image = parseOmeXml(xml, file.pages.length);
  checkPlace(options, image);
  checkChannels(image.sizeC);
  const { z = 0, t = 0 } = options;
  const planes = Array.from({ length: image.sizeC }, (_, c) => {
    const page = image.pageOf(c, z, t);
    const directory = page === null ? undefined : file.pages[page];
    if (!directory) {
      throw new UnsupportedImageError(`the plane of channel ${c}, z ${z}, t ${t} is not in this OME-TIFF`);
    }
    return directory;
  });
  const levels = await Promise.all(planes.map((plane) => file.children(plane)));
  const size = await pixelSizeOf(planes[0]!, image.mpp, options);
  const depth = Math.min(...levels.map(({ length }) => length));
  return {
    planes,
    channelNames: image.sizeC > 1 ? image.channelNames : null,
    overviews: Array.from({ length: depth }, (_, i) => levels.map((level) => level[i]!)),
    mpp: size.mpp,
    notes: [...stackNotes(options, image.sizeZ, image.sizeT), ...size.notes],
  };
}

/** Fiji stores the planes of a hyperstack as pages: channels first, then depth, then time. */
async function imagejSlide(file: TiffFile, description: string, options: OpenOptions): Promise<TiffSlide> {
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}=(.*)$`, 'm').exec(description)?.[1];
  const count = (name: string): number => {
    const said = field(name)?.trim() ?? '1';
    return /^\d{1,9}$/.test(said) ? Math.max(1, Number(said)) : 1;
  };
  let [sizeC, sizeZ, sizeT] = [count('channels'), count('slices'), count('frames')];
  if (sizeC * sizeZ * sizeT > file.pages.length && file.damage) throw file.damage;
  if (sizeC * sizeZ * sizeT > file.pages.length) [sizeC, sizeZ, sizeT] = [1, file.pages.length, 1];
  checkPlace(options, { sizeZ, sizeT });
  checkChannels(sizeC);
  const { z = 0, t = 0 } = options;
  const [first] = file.pages as [Directory];
  const micron = IMAGEJ_MICRONS[field('unit') ?? ''];
  const [x, y] = [await first.number(TAG.xResolution, 0), await first.number(TAG.yResolution, 0)];
  const size = await pixelSizeOf(
    first,
    micron && x > 0 && y > 0 ? { x: micron / x, y: micron / y } : null,
    options,
  );
  return {
    planes: Array.from({ length: sizeC }, (_, c) => file.pages[(t * sizeZ + z) * sizeC + c]!),
    channelNames: sizeC > 1 ? Array.from({ length: sizeC }, (_, i) => `channel ${i}`) : null,
    overviews: [],
    mpp: size.mpp,
    notes: [...stackNotes(options, sizeZ, sizeT), ...size.notes],
  };
}

/** Smaller versions of a page: its SubIFDs, or the pages behind it that say so, or an Aperio's tiled ones. */
async function smaller(
  file: TiffFile,
  page: Directory,
  number: number,
  aperio: boolean,
): Promise<Directory[]> {
  const children = await file.children(page);
  if (children.length > 0) return children;
  const size = async (of: Directory) =>
    [await of.number(TAG.width, 0), await of.number(TAG.height, 0)] as const;
  const [width, height] = await size(page);
  const found: Directory[] = [];
  for (const next of file.pages.slice(number + 1)) {
    const reduced = ((await next.number(TAG.newSubfileType, 0)) & 1) === 1;
    if (!aperio && !reduced) break;
    const [w, h] = await size(next);
    if (found.length === MAX_LEVELS) break;
    const alike = Math.abs((w * height) / (h * width) - 1) < 0.02 && w < width;
    if (alike && (!aperio || next.has(TAG.tileWidth))) found.push(next);
  }
  return found;
}

/** A pixel size that the image's own metadata state or, where they do not, that of the resolution tags. */
async function pixelSizeOf(
  page: Directory,
  stated: PixelSize | null,
  { mpp: given }: OpenOptions,
): Promise<Pick<TiffSlide, 'mpp' | 'notes'>> {
  if (stated) return { mpp: stated, notes: [] };
  const unit = UNIT_MICRONS[await page.number(TAG.resolutionUnit, 2)];
  const [x, y] = [await page.number(TAG.xResolution, 0), await page.number(TAG.yResolution, 0)];
  const known = unit && x > 0 && y > 0 && Number.isFinite(x + y);
  return resolutionSize(known ? { x: unit / x, y: unit / y } : null, given);
}

function aperioPixelSize(description: string): PixelSize | null {
  const mpp = Number(/\|\s*MPP\s*=\s*([\d.]+)/.exec(description)?.[1]);
  return mpp > 0 ? { x: mpp, y: mpp } : null;
}
