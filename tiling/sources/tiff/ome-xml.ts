import { XMLParser } from 'fast-xml-parser';
import { CorruptImageError } from '../../errors.js';
import type { PixelSize } from '../../source.js';

/** What an OME-XML says of its first image. */
export interface OmeImage {
  readonly sizeC: number;
  readonly sizeZ: number;
  readonly sizeT: number;
  /** Values a pixel of each channel: 3 for RGB. */
  readonly samplesPerChannel: number;
  readonly channelNames: readonly string[];
  readonly mpp: PixelSize | null;
  /** The page that holds a plane; null where it is in another file, or nowhere. */
  pageOf(c: number, z: number, t: number): number | null;
}

/** Lengths of OME's units in micrometres (OME schema 2016-06, UnitsLength). */
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

type Node = { readonly [name: string]: unknown };
const nodes = (value: unknown): Node[] => (Array.isArray(value) ? value : value ? [value] : []) as Node[];

/** Elements in elements: the schema has some ten levels. */
const MAX_DEPTH = 64;
/** Planes may share pages, as the three of RGB do; they do not by the hundred. */
const PLANES_A_PAGE = 8;

/**
 * Reads OME-XML, of OME-TIFF's first description.
 * @param pages how many pages the file has: no more planes are in it
 * @throws CorruptImageError where it is no OME-XML with an image, or claims more than the file has
 */
export function parseOmeXml(xml: string, pages: number): OmeImage {
  const pixels = pixelsOf(xml);
  const channels = nodes(pixels.Channel);
  const samplesPerChannel = integer(channels[0]?.SamplesPerPixel, 'SamplesPerPixel', 1);
  const sizeC = integer(pixels.SizeC, 'SizeC', 1) / samplesPerChannel;
  const [sizeZ, sizeT] = [integer(pixels.SizeZ, 'SizeZ', 1), integer(pixels.SizeT, 'SizeT', 1)];
  if (!Number.isInteger(sizeC)) {
    throw new CorruptImageError(
      `the OME-XML's SizeC is no multiple of the SamplesPerPixel of its channels, ${samplesPerChannel}`,
    );
  }
  const order = String(pixels.DimensionOrder ?? 'XYCZT');
  if (!/^XY(CZT|CTZ|ZCT|ZTC|TCZ|TZC)$/.test(order)) {
    throw new CorruptImageError(`the OME-XML's DimensionOrder is ${quoted(order)}`);
  }
  const total = sizeC * sizeZ * sizeT;
  const blocks = nodes(pixels.TiffData);
  const severalFiles = blocks.some((block) => nodes(block.UUID)[0]?.FileName !== undefined);
  if (sizeC > pages || (total > pages && !severalFiles)) {
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
    pageOf: pageMap(blocks, index, total, pages),
  };
}

function pixelsOf(xml: string): Node {
  // OME-XML has no document type; one is there to define entities that unfold to more.
  if (/<!DOCTYPE/i.test(xml)) throw new CorruptImageError('the OME-XML has a DOCTYPE, which is not read');
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: '',
    removeNSPrefix: true,
    parseAttributeValue: false,
    parseTagValue: false,
    maxNestedTags: MAX_DEPTH,
  });
  let pixels: Node | undefined;
  try {
    const root = parser.parse(xml) as { OME?: Node };
    pixels = nodes(nodes(root.OME?.Image)[0]?.Pixels)[0];
  } catch (cause) {
    throw new CorruptImageError(`the OME-XML cannot be read: ${(cause as Error).message.slice(0, 200)}`, {
      cause,
    });
  }
  if (typeof pixels !== 'object') throw new CorruptImageError('the OME-XML describes no image');
  return pixels;
}

/** The page of each plane, as the blocks of `TiffData` say. */
function pageMap(
  blocks: readonly Node[],
  index: (at: Record<string, number>) => number,
  total: number,
  pages: number,
): OmeImage['pageOf'] {
  const found = new Map<number, number | null>();
  let left = PLANES_A_PAGE * pages;
  for (const block of blocks.length > 0 ? blocks : [{} as Node]) {
    const place = (name: string): number => integer(block[name], name, 0, 0);
    const first = index({ C: place('FirstC'), Z: place('FirstZ'), T: place('FirstT') });
    const page = place('IFD');
    const planes = integer(block.PlaneCount, 'PlaneCount', block.IFD === undefined ? total : 1, 0);
    const elsewhere = nodes(block.UUID)[0]?.FileName !== undefined && blocks.length > total;
    const count = Math.max(0, Math.min(planes, total - first, pages - page));
    left -= count;
    if (left < 0) {
      throw new CorruptImageError(`the OME-XML lists more planes than a TIFF of ${pages} pages can hold`);
    }
    for (let i = 0; i < count; i++) found.set(first + i, elsewhere ? null : page + i);
  }
  return (c, z, t) => found.get(index({ C: c, Z: z, T: t })) ?? null;
}

/** @throws CorruptImageError for what is no count */
function integer(value: unknown, name: string, otherwise: number, least = 1): number {
  if (value === undefined) return otherwise;
  const number = /^\s*\d{1,10}\s*$/.test(String(value)) ? Number(value) : Number.NaN;
  if (number >= least) return number;
  throw new CorruptImageError(`the OME-XML's ${name} is ${quoted(String(value))}`);
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 40));

function pixelSize(pixels: Node): PixelSize | null {
  const side = (name: string): number => {
    const unit = MICRONS[String(pixels[`${name}Unit`] ?? 'µm')] ?? Number.NaN;
    return Number(pixels[name] ?? Number.NaN) * unit;
  };
  const x = side('PhysicalSizeX');
  const y = side('PhysicalSizeY');
  return x > 0 ? { x, y: y > 0 ? y : x } : null;
}
