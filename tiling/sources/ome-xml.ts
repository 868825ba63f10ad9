import { XMLParser } from 'fast-xml-parser';
import { CorruptImageError } from '../errors.js';
import type { PixelSize } from '../source.js';

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

/**
 * Reads OME-XML, of OME-TIFF's first description.
 * @throws CorruptImageError where it is no OME-XML with an image
 */
export function parseOmeXml(xml: string): OmeImage {
  const parser = new XMLParser({ ignoreAttributes: false, attributeNamePrefix: '', removeNSPrefix: true });
  let pixels: Node | undefined;
  try {
    const root = parser.parse(xml) as { OME?: Node };
    pixels = nodes(nodes(root.OME?.Image)[0]?.Pixels)[0];
  } catch (cause) {
    throw new CorruptImageError(`the OME-XML cannot be read: ${(cause as Error).message}`, { cause });
  }
  if (!pixels) throw new CorruptImageError('the OME-XML describes no image');
  const count = (name: string): number => Math.max(1, Number(pixels[name] ?? 1) || 1);
  const channels = nodes(pixels.Channel);
  const samplesPerChannel = Number(channels[0]?.SamplesPerPixel ?? 1) || 1;
  const [sizeC, sizeZ, sizeT] = [count('SizeC') / samplesPerChannel, count('SizeZ'), count('SizeT')];
  const order = String(pixels.DimensionOrder ?? 'XYCZT').slice(2);
  const sizes: Record<string, number> = { C: sizeC, Z: sizeZ, T: sizeT };
  const index = (at: Record<string, number>): number =>
    [...order].reduceRight((sum, dimension) => sum * sizes[dimension]! + at[dimension]!, 0);
  const pages = new Map<number, number | null>();
  const total = sizeC * sizeZ * sizeT;
  const blocks = nodes(pixels.TiffData);
  for (const block of blocks.length > 0 ? blocks : [{} as Node]) {
    const first = index({
      C: Number(block.FirstC ?? 0),
      Z: Number(block.FirstZ ?? 0),
      T: Number(block.FirstT ?? 0),
    });
    const page = Number(block.IFD ?? 0);
    const planes = Number(block.PlaneCount ?? (block.IFD === undefined ? total : 1));
    const elsewhere = nodes(block.UUID)[0]?.FileName !== undefined && blocks.length > total;
    for (let i = 0; i < Math.min(planes, total - first); i++) {
      pages.set(first + i, elsewhere ? null : page + i);
    }
  }
  return {
    sizeC,
    sizeZ,
    sizeT,
    samplesPerChannel,
    channelNames: Array.from({ length: sizeC }, (_, i) => String(channels[i]?.Name ?? `channel ${i}`)),
    mpp: pixelSize(pixels),
    pageOf: (c, z, t) => pages.get(index({ C: c, Z: z, T: t })) ?? null,
  };
}

function pixelSize(pixels: Node): PixelSize | null {
  const side = (name: string): number => {
    const unit = MICRONS[String(pixels[`${name}Unit`] ?? 'µm')] ?? Number.NaN;
    return Number(pixels[name] ?? Number.NaN) * unit;
  };
  const x = side('PhysicalSizeX');
  const y = side('PhysicalSizeY');
  return x > 0 ? { x, y: y > 0 ? y : x } : null;
}
