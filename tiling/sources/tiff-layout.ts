import type { GeoTIFFImage } from 'geotiff';
import { CorruptImageError, UnsupportedImageError } from '../errors.js';
import type { Size } from '../geometry.js';
import type { Dtype } from '../raster.js';
import type { Resolution } from '../source.js';
import type { JpegColour } from './jpeg-tile.js';
import { checkPixels, type OpenOptions } from './options.js';

/** TIFF's numbers of the compressions that are read. */
export const NONE = 1;
export const LZW = 5;
export const JPEG = 7;
const DEFLATE = [8, 32946];

/** What a TIFF's first image says of itself, checked to be of a kind that is read here. */
export interface Layout {
  readonly size: Size;
  /** A tile, or a strip: the file's unit of compression. */
  readonly chunk: Size;
  readonly across: number;
  readonly samples: number;
  readonly channels: number;
  readonly dtype: Dtype;
  readonly compression: number;
  readonly predictor: number;
  readonly bigEndian: boolean;
  readonly jpegColour: JpegColour;
  readonly jpegTables: Uint8Array | null;
  readonly offsets: ArrayLike<number | bigint>;
  readonly byteCounts: ArrayLike<number | bigint>;
  readonly resolution: Resolution | null;
  readonly notes: readonly string[];
}

/**
 * Reads what a TIFF's image says of itself.
 *
 * @throws UnsupportedImageError for a kind that is not read, saying what would be
 * @throws ImageTooLargeError, CorruptImageError by `checkPixels`
 */
export async function layoutOf(image: GeoTIFFImage, options: OpenOptions): Promise<Layout> {
  const directory = image.fileDirectory;
  const number = async (tag: string, otherwise: number): Promise<number> =>
    Number((await directory.loadValue(tag as 'ImageWidth')) ?? otherwise);
  const refuse = (what: string): never => {
    throw new UnsupportedImageError(`TIFFs with ${what} are not read`);
  };
  const size = { width: single('width', image.getWidth()), height: single('height', image.getHeight()) };
  checkPixels(size, options);
  const samples = single('samples per pixel', image.getSamplesPerPixel());
  const bits = image.getBitsPerSample();
  const photometric = await number('PhotometricInterpretation', 1);
  const compression = await number('Compression', NONE);
  const predictor = await number('Predictor', 1);
  if (![NONE, LZW, JPEG, ...DEFLATE].includes(compression)) {
    refuse(`compression ${compression}; use none, LZW, deflate or JPEG`);
  }
  if (image.getSampleFormat() !== 1 || (bits !== 8 && bits !== 16)) {
    refuse(`${bits}-bit values of sample format ${image.getSampleFormat()}; use unsigned 8 or 16 bits`);
  }
  if (compression === JPEG && bits !== 8) refuse('JPEG of more than 8 bits');
  if (Number(image.planarConfiguration) !== 1 && samples > 1)
    refuse('separate planes; interleave the channels');
  if (predictor !== 1 && predictor !== 2) refuse(`predictor ${predictor}; use 1 or 2`);
  const colour = photometric === 2 || (photometric === 6 && compression === JPEG);
  if (!colour && photometric !== 1)
    refuse(`photometric interpretation ${photometric}; use BlackIsZero or RGB`);
  const channels = colour ? 3 : 1;
  if (samples < channels || samples > channels + 1) {
    refuse(`${samples} channels; use gray or RGB, with or without alpha`);
  }
  const chunk = {
    width: image.isTiled ? single('tile width', image.getTileWidth()) : size.width,
    height: Math.min(
      single('rows of a chunk', image.getTileHeight()),
      image.isTiled ? Number.POSITIVE_INFINITY : size.height,
    ),
  };
  const unit = await number('ResolutionUnit', 2);
  const [x, y] = [await ratio(directory, 'XResolution'), await ratio(directory, 'YResolution')];
  const tables = (await directory.loadValue('JPEGTables' as 'ImageWidth')) as unknown as
    | ArrayLike<number>
    | undefined;
  const prefix = image.isTiled ? 'Tile' : 'Strip';
  const list = async (tag: string) => {
    const values = (await directory.loadValue(`${prefix}${tag}` as 'TileOffsets')) as unknown;
    return (typeof values === 'number' ? [values] : (values ?? [])) as ArrayLike<number | bigint>;
  };
  return {
    size,
    chunk,
    across: Math.ceil(size.width / chunk.width),
    samples,
    channels,
    dtype: bits === 8 ? 'uint8' : 'uint16',
    compression,
    predictor: compression === LZW || DEFLATE.includes(compression) ? predictor : 1,
    bigEndian: !image.littleEndian,
    jpegColour: photometric === 6 ? 'ycbcr' : colour ? 'rgb' : 'gray',
    jpegTables: tables ? Uint8Array.from(tables) : null,
    offsets: await list('Offsets'),
    byteCounts: await list('ByteCounts'),
    resolution: x > 0 && y > 0 && (unit === 1 || unit === 2 || unit === 3) ? { x, y, unit } : null,
    notes: samples > channels ? ['alpha dropped'] : [],
  };
}

/** A damaged tag may hold several values where one belongs, which arithmetic would take for no number. */
function single(what: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1) return value;
  throw new CorruptImageError(`the TIFF's ${what} is no positive integer`);
}

async function ratio(directory: GeoTIFFImage['fileDirectory'], tag: string): Promise<number> {
  const value = (await directory.loadValue(tag as 'ImageWidth')) as unknown;
  if (typeof value === 'number') return value;
  const [numerator, denominator] = (value ?? []) as number[];
  return numerator && denominator ? numerator / denominator : 0;
}

/** A file cut short is told at once, not after an hour of tiles. */
export function checkExtent({ size, chunk, across, offsets, byteCounts }: Layout, fileBytes: number): void {
  const chunks = across * Math.ceil(size.height / chunk.height);
  if (offsets.length < chunks || byteCounts.length < chunks) {
    throw new CorruptImageError(`the TIFF lists ${offsets.length} chunks; its size needs ${chunks}`);
  }
  let stored = 0;
  for (let i = 0; i < chunks; i++) {
    const [offset, bytes] = [Number(offsets[i]), Number(byteCounts[i])];
    const end = offset + bytes;
    // Both 0 is a sparse file's empty chunk. One alone, or nothing but such, is what a lost tail reads as.
    if ((offset === 0) !== (bytes === 0)) {
      throw new CorruptImageError(
        `the TIFF's list of chunks is damaged: chunk ${i} is ${bytes} bytes at ${offset}`,
      );
    }
    stored += bytes;
    if (end > fileBytes) {
      throw new CorruptImageError(`the TIFF is cut short: chunk ${i} ends at byte ${end} of ${fileBytes}`);
    }
  }
  if (stored === 0) throw new CorruptImageError('the TIFF holds no pixels: all of its chunks are empty');
}

/** Strips: the last one may have fewer rows. Tiles are always whole. */
export function chunkRows({ size, chunk, across }: Layout, index: number): number {
  if (chunk.width !== size.width) return chunk.height;
  return Math.min(chunk.height, size.height - Math.floor(index / across) * chunk.height);
}

export const bytesOf = (dtype: Dtype): number => (dtype === 'uint8' ? 1 : 2);
