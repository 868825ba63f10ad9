import { XMLParser } from 'fast-xml-parser';
import { CorruptImageError, UnsupportedImageError } from '../../errors.js';
import type { PixelSize } from '../../source.js';
import { isNameOfGlass } from './associated.js';

/** The first image of an OME-XML. */
export interface OmeImage {
  readonly sizeC: number;
  readonly sizeZ: number;
  readonly sizeT: number;
  /** Values per pixel of each channel: 3 for RGB. */
  readonly samplesPerChannel: number;
  readonly channelNames: readonly string[];
  readonly mpp: PixelSize | null;
  /** The distance of neighbouring planes in depth, in micrometres. */
  readonly zMicrons: number | undefined;
  /** The page that holds a plane; null where that is in another file, or nowhere. */
  pageOf(c: number, z: number, t: number): number | null;
}

/** OME's units of length in micrometres (OME schema 2016-06, UnitsLength). */
const MICRONS: Record<string, number> = {
  m: 1e6,
  cm: 1e4,
  mm: 1e3,
  µm: 1,
  um: 1,
  nm: 1e-3,
  Å: 1e-4,
  pm: 1e-6,
};

/** Pages of one picture of the glass, at most: it has one, or one for each colour. */
const MAX_GLASS_PAGES = 1000;

/** An element by the names of its attributes and children. */
type Element = { readonly [name: string]: unknown };
const TEXT_ONLY: Element = {};
const isElement = (value: unknown): value is Element =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The elements of one name: the parser returns one alone as itself, and one without attributes as its text. */
function elements(value: unknown): Element[] {
  const list: unknown[] = Array.isArray(value) ? value : value ? [value] : [];
  return list.map((element) => (isElement(element) ? element : TEXT_ONLY));
}

/** Nested elements: the schema has some ten levels. */
const MAX_DEPTH = 64;
/** Planes may share pages, as the three of RGB do, but not by the hundred. */
const MAX_PLANES_PER_PAGE = 8;

/**
 * Parses the OME-XML of an OME-TIFF's first description.
 * @param pages of the file: it cannot hold more planes
 * @throws CorruptImageError where it is no OME-XML with an image, or claims more than the file has
 */
export function parseOmeXml(xml: string, pages: number): OmeImage {
  const pixels = pixelsOf(xml);
  const channels = elements(pixels.Channel);
  const samplesPerChannel = integer(channels[0]?.SamplesPerPixel, 'SamplesPerPixel', 1);
  const sizeC = integer(pixels.SizeC, 'SizeC', 1) / samplesPerChannel;
  const [sizeZ, sizeT] = [integer(pixels.SizeZ, 'SizeZ', 1), integer(pixels.SizeT, 'SizeT', 1)];
  if (!Number.isInteger(sizeC)) {
    throw new CorruptImageError(
      `the OME-XML's SizeC is not a multiple of the SamplesPerPixel of its channels, ${samplesPerChannel}`,
    );
  }
  const order = String(pixels.DimensionOrder ?? 'XYCZT');
  if (!/^XY(CZT|CTZ|ZCT|ZTC|TCZ|TZC)$/.test(order)) {
    throw new CorruptImageError(`the OME-XML's DimensionOrder is ${quoted(order)}`);
  }
  const total = sizeC * sizeZ * sizeT;
  const blocks = elements(pixels.TiffData);
  const hasSeveralFiles = blocks.some((block) => elements(block.UUID)[0]?.FileName !== undefined);
  if (sizeC > pages || (total > pages && !hasSeveralFiles)) {
    throw new CorruptImageError(
      `the OME-XML claims ${total} planes (${sizeC} channels, ${sizeZ} in depth, ${sizeT} times), and the ` +
        `TIFF has ${pages} page${pages === 1 ? '' : 's'}: one of these can be chosen with "page"`,
    );
  }
  const sizes: Record<string, number> = { C: sizeC, Z: sizeZ, T: sizeT };
  const index = (at: Record<string, number>): number =>
    [...order.slice(2)].reduceRight((sum, dimension) => sum * sizes[dimension]! + at[dimension]!, 0);
  return {
    sizeC,
    sizeZ,
    sizeT,
    samplesPerChannel,
    channelNames: Array.from({ length: sizeC }, (_, i) => String(channels[i]?.Name ?? `channel ${i}`)),
    mpp: pixelSize(pixels),
    zMicrons: micronsOf(pixels, 'PhysicalSizeZ'),
    pageOf: pageMap(blocks, index, total, pages),
  };
}

/**
 * The pages of an OME-TIFF that are pictures of the glass, by the names of its images; none for any other description.
 * Where the XML cannot be read and names such an image, those are all pages.
 */
export function pagesOfGlass(xml: string): { readonly has: (page: number) => boolean } {
  const pages = new Set<number>();
  if (!/<(\w+:)?OME[\s>]/.test(xml) || !MAY_NAME_GLASS.test(xml)) return pages;
  try {
    let next = 0;
    for (const image of imagesOf(xml)) {
      const [pixels = TEXT_ONLY] = elements(image.Pixels);
      const planes = ['SizeC', 'SizeZ', 'SizeT'].reduce(
        (all, name) => all * integer(pixels[name], name, 1),
        1,
      );
      const blocks = elements(pixels.TiffData);
      const isGlass = isNameOfGlass(String(image.Name ?? ''));
      for (const block of blocks.length > 0 ? blocks : [TEXT_ONLY]) {
        const first = integer(block.IFD, 'IFD', next, 0);
        const count = integer(block.PlaneCount, 'PlaneCount', block.IFD === undefined ? planes : 1, 0);
        for (let i = 0; i < Math.min(count, MAX_GLASS_PAGES) && isGlass; i++) pages.add(first + i);
        next = first + count;
      }
    }
    return pages;
  } catch {
    return allIfNamed(xml);
  }
}

/** The images of an OME-XML that are pictures of the glass, by their places in it. As `pagesOfGlass` otherwise. */
export function imagesOfGlass(xml: string): { readonly has: (image: number) => boolean } {
  if (!MAY_NAME_GLASS.test(xml)) return new Set();
  try {
    return new Set(imagesOf(xml).flatMap(({ Name }, i) => (isNameOfGlass(String(Name ?? '')) ? [i] : [])));
  } catch {
    return allIfNamed(xml);
  }
}

const MAY_NAME_GLASS = /\b(label|macro)\b/i;
/** Every page or image where an attribute that may be the name of one names glass. */
const allIfNamed = (xml: string) => ({
  has: () => /Name\s*=\s*["'][^"']*\b(label|macro)\b/i.test(xml),
});

function pixelsOf(xml: string): Element {
  const [image] = imagesOf(xml);
  const [pixels] = elements(image?.Pixels);
  if (!pixels || pixels === TEXT_ONLY) throw new CorruptImageError('the OME-XML describes no image');
  if (isNameOfGlass(String(image?.Name ?? '')))
    throw new UnsupportedImageError("the first image of this OME-TIFF is a slide's label or macro image");
  return pixels;
}

function imagesOf(xml: string): Element[] {
  // OME-XML has no document type: one could only define entities that expand to something huge.
  if (/<!DOCTYPE/i.test(xml))
    throw new CorruptImageError('the OME-XML has a DOCTYPE, which is not supported');
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: '',
    removeNSPrefix: true,
    parseAttributeValue: false,
    parseTagValue: false,
    maxNestedTags: MAX_DEPTH,
  });
  try {
    const [ome] = elements(elements(parser.parse(xml))[0]?.OME);
    return elements(ome?.Image);
  } catch (cause) {
    throw new CorruptImageError(`the OME-XML cannot be read: ${(cause as Error).message.slice(0, 200)}`, {
      cause,
    });
  }
}

/** Maps planes to pages by the `TiffData` blocks; without any, pages follow the dimension order. */
function pageMap(
  blocks: readonly Element[],
  index: (at: Record<string, number>) => number,
  total: number,
  pages: number,
): OmeImage['pageOf'] {
  const pageByPlane = new Map<number, number | null>();
  let budget = MAX_PLANES_PER_PAGE * pages;
  for (const block of blocks.length > 0 ? blocks : [TEXT_ONLY]) {
    const indexOf = (name: string): number => integer(block[name], name, 0, 0);
    const first = index({ C: indexOf('FirstC'), Z: indexOf('FirstZ'), T: indexOf('FirstT') });
    const page = indexOf('IFD');
    const planes = integer(block.PlaneCount, 'PlaneCount', block.IFD === undefined ? total : 1, 0);
    const isElsewhere = elements(block.UUID)[0]?.FileName !== undefined && blocks.length > total;
    const count = Math.max(0, Math.min(planes, total - first, pages - page));
    budget -= count;
    if (budget < 0) {
      throw new CorruptImageError(`the OME-XML lists more planes than a TIFF of ${pages} pages can hold`);
    }
    for (let i = 0; i < count; i++) pageByPlane.set(first + i, isElsewhere ? null : page + i);
  }
  return (c, z, t) => pageByPlane.get(index({ C: c, Z: z, T: t })) ?? null;
}

/** @throws CorruptImageError for anything but an integer of at least `least` */
function integer(value: unknown, name: string, otherwise: number, least = 1): number {
  if (value === undefined) return otherwise;
  const number = /^\s*\d{1,10}\s*$/.test(String(value)) ? Number(value) : Number.NaN;
  if (number >= least) return number;
  throw new CorruptImageError(`the OME-XML's ${name} is ${quoted(String(value))}`);
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 40));

function pixelSize(pixels: Element): PixelSize | null {
  const x = micronsOf(pixels, 'PhysicalSizeX');
  const y = micronsOf(pixels, 'PhysicalSizeY');
  return x === undefined ? null : { x, y: y ?? x };
}

/** A length in micrometres; undefined where it is not stated, or no length. */
function micronsOf(pixels: Element, name: string): number | undefined {
  const unit = MICRONS[String(pixels[`${name}Unit`] ?? 'µm')] ?? Number.NaN;
  const microns = Number(pixels[name] ?? Number.NaN) * unit;
  return microns > 0 && Number.isFinite(microns) ? microns : undefined;
}
