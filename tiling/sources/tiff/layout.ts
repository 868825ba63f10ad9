import { CorruptImageError, UnsupportedImageError } from '../../errors.js';
import type { Size } from '../../geometry.js';
import type { Dtype } from '../../raster.js';
import { checkChannels } from '../choice.js';
import { checkPixels, type OpenOptions } from '../options.js';
import { checkBytes } from '../unpacked.js';
import { type Directory, MAX_CHUNKS, MAX_TABLE_BYTES } from './directory.js';
import type { JpegColour } from './jpeg-tile.js';
import { COMPRESSION, PHOTOMETRIC, TAG } from './tags.js';

/** Uncompressed strips are read in pieces of about this many bytes. */
const PIECE_BYTES = 1 << 20;
/** What a stored chunk may have besides its pixels: tables, profiles and headers. */
const STORED_SLACK_BYTES = 1 << 18;

/** What a TIFF's image says of itself, checked to be of a kind that is read here. */
export interface Layout {
  readonly size: Size;
  /** A tile, or a strip, or a piece of one: the unit that is read at a time. */
  readonly chunk: Size;
  readonly across: number;
  readonly down: number;
  /** Channels that are stored, colours and others. */
  readonly samples: number;
  /** Whether chunks hold one channel each, all chunks of the first channel first. */
  readonly planar: boolean;
  readonly bits: number;
  readonly format: 'uint' | 'int' | 'float';
  readonly compression: number;
  readonly predictor: number;
  readonly bigEndian: boolean;
  readonly photometric: number;
  readonly jpegColour: JpegColour;
  readonly jpegTables: Uint8Array | null;
  /** Red, green and blue of each stored value, interleaved; null without a palette. */
  readonly palette: Uint8Array | null;
  /** Channels of colour: 3 for RGB and palettes, 1 for gray, all of them where each is a picture of its own. */
  readonly channels: number;
  /** Whether the channels are pictures of their own, not colours. */
  readonly separate: boolean;
  readonly dtype: Dtype;
  readonly offsets: ArrayLike<number>;
  readonly byteCounts: ArrayLike<number>;
  readonly notes: readonly string[];
}

/** For kinds of TIFF that libvips reads and this reader does not. */
export class LeaveToLibvips extends Error {}

/**
 * Reads what a TIFF's image says of itself.
 *
 * @throws UnsupportedImageError for a kind that is not read, saying what would be
 * @throws ImageTooLargeError, CorruptImageError by `checkPixels`
 * @throws LeaveToLibvips
 */
export async function layoutOf(page: Directory, options: OpenOptions): Promise<Layout> {
  const refuse = (what: string, remedy?: string): never => {
    throw new UnsupportedImageError(`TIFFs with ${what} are not read${remedy ? `: ${remedy}` : ''}`);
  };
  const size = {
    width: await page.positive(TAG.width, 'width'),
    height: await page.positive(TAG.height, 'height'),
  };
  checkPixels(size, options);
  const samples = await page.positive(TAG.samples, 'samples per pixel', 1);
  const [bits = 1, ...depths] = Array.from(await page.numbers(TAG.bits));
  if (depths.some((b) => b !== bits)) refuse('channels of different depths');
  checkChannels(samples);
  const leave = async (): Promise<never> =>
    leaveToLibvips({ size, chunk: await chunkOf(page, size), samples, planar: false, bits }, options);
  const [sampleFormat = 1, ...formats] = Array.from(await page.numbers(TAG.sampleFormat));
  if (formats.some((f) => f !== sampleFormat)) refuse('channels of different sample formats');
  const format = (['uint', 'int', 'float'] as const)[sampleFormat - 1];
  if (!page.has(TAG.photometric)) {
    throw new CorruptImageError(
      'the TIFF does not say whether 0 is black or white: it has no photometric tag',
    );
  }
  const photometric = await page.number(TAG.photometric, PHOTOMETRIC.blackIsZero);
  const compression = await page.number(TAG.compression, COMPRESSION.none);
  const jpeg2000: number[] = [COMPRESSION.aperioYcbcr, COMPRESSION.aperioRgb, COMPRESSION.jpeg2000];
  const jpeg = compression === COMPRESSION.jpeg;
  const { none, lzw, deflate, oldDeflate, packBits } = COMPRESSION;
  const plain: number[] = [none, lzw, deflate, oldDeflate, packBits];
  if ([2, 3, 4].includes(compression)) {
    if (bits !== 1 || format !== 'uint') refuse('CCITT compression of more than 1 bit');
    await leave();
  }
  if (!jpeg && !jpeg2000.includes(compression) && !plain.includes(compression)) {
    refuse(`compression ${compression}`, 'store none, LZW, deflate, PackBits, JPEG or JPEG 2000');
  }
  if (photometric === PHOTOMETRIC.ycbcr && plain.includes(compression)) await leave();
  const known = { uint: [1, 2, 4, 8, 16, 32], int: [8, 16, 32], float: [32, 64] };
  if (format === undefined || !known[format].includes(bits)) {
    const kinds = { uint: 'unsigned integers', int: 'signed integers', float: 'floating-point values' };
    const kind = format ? kinds[format] : `values of sample format ${sampleFormat}`;
    refuse(`${kind} of ${bits} bits`, 'store 8 or 16 bits a value');
  }
  if ((jpeg || jpeg2000.includes(compression)) && bits !== 8) refuse('JPEG of more than 8 bits');
  const configuration = await page.number(TAG.planar, 1);
  if (configuration !== 1 && configuration !== 2) refuse(`planar configuration ${configuration}`);
  const planar = samples > 1 && configuration === 2;
  if (planar && !plain.includes(compression)) refuse('JPEG in separate planes');
  if ((await page.number(TAG.fillOrder, 1)) !== 1 && bits < 8) await leave();

  const colour = photometric === PHOTOMETRIC.rgb || photometric === PHOTOMETRIC.ycbcr;
  const palette = photometric === PHOTOMETRIC.palette && options.values !== 'stored';
  if (photometric > PHOTOMETRIC.palette && photometric !== PHOTOMETRIC.ycbcr) {
    refuse(
      `photometric interpretation ${photometric}`,
      'store gray (BlackIsZero or WhiteIsZero), RGB or a palette',
    );
  }
  const extra = Array.from(await page.numbers(TAG.extraSamples));
  const alpha = extra.some((kind) => kind !== 0) || (samples === 4 && colour);
  if (colour && samples < 3) refuse(`${samples} channels of colour`);
  // What is not colour nor alpha is a picture of its own.
  const separate = !colour && samples > (alpha ? 2 : 1);
  const channels = colour || palette ? 3 : separate ? samples : 1;

  const tiled = page.has(TAG.tileWidth);
  const { width, height } = size;
  const rowBytes = (w: number) => Math.ceil((w * (planar ? 1 : samples) * bits) / 8);
  let chunk = await chunkOf(page, size);
  let offsets = await page.numbers(tiled ? TAG.tileOffsets : TAG.stripOffsets, MAX_CHUNKS);
  let byteCounts = await page.numbers(tiled ? TAG.tileByteCounts : TAG.stripByteCounts, MAX_CHUNKS);
  const planes = planar ? samples : 1;
  const single = !tiled && chunk.height === height && offsets.length === planes;
  if (single && compression === none && byteCounts.length === planes) {
    // One uncompressed strip for all rows, as Fiji writes it: any rows of it can be read.
    if (rowBytes(width) * height * planes > page.bytes.length) {
      throw new CorruptImageError(
        `the TIFF is cut short: ${width} × ${height} px of it take more than its ${page.bytes.length} bytes`,
      );
    }
    const rows = Math.max(1, Math.min(height, Math.floor(PIECE_BYTES / rowBytes(width))));
    const pieces = Math.ceil(height / rows);
    const whole = { offsets, byteCounts };
    const at = (i: number) => ({ plane: Math.floor(i / pieces), row: (i % pieces) * rows });
    const count = { length: pieces * planes };
    offsets = Float64Array.from(count, (_, i) => whole.offsets[at(i).plane]! + at(i).row * rowBytes(width));
    byteCounts = Float64Array.from(count, (_, i) => {
      const left = whole.byteCounts[at(i).plane]! - at(i).row * rowBytes(width);
      return Math.max(0, Math.min(left, rows * rowBytes(width)));
    });
    chunk = { width, height: rows };
  }
  const tables = await page.numbers(TAG.jpegTables, MAX_TABLE_BYTES);
  const coded = [lzw, deflate, oldDeflate].some((c) => c === compression);
  const predictor = await page.number(TAG.predictor, 1);
  const fits = predictor === 1 || (predictor === 2 && bits >= 8) || (predictor === 3 && format === 'float');
  if (!fits) refuse(`predictor ${predictor} on ${bits}-bit values`);
  if (palette && (samples > 1 || format !== 'uint')) refuse('a palette and other channels beside it');
  const notes: string[] = [];
  if (!separate && samples > (colour ? 3 : 1))
    notes.push(alpha ? 'alpha dropped' : 'channels beyond RGB dropped');
  if (bits < 8 && options.values !== 'stored' && !palette) notes.push(`${bits}-bit values widened to 8 bits`);
  return {
    size,
    chunk,
    across: Math.ceil(width / chunk.width),
    down: Math.ceil(height / chunk.height),
    samples,
    planar,
    bits,
    format: format!,
    compression,
    predictor: coded ? predictor : 1,
    bigEndian: page.bigEndian,
    photometric,
    jpegColour: photometric === PHOTOMETRIC.ycbcr ? 'ycbcr' : colour ? 'rgb' : 'gray',
    jpegTables: tables.length > 0 ? Uint8Array.from(tables) : null,
    palette: palette ? paletteOf(await page.numbers(TAG.colourMap, 3 * 2 ** 16), 2 ** bits) : null,
    channels,
    separate,
    dtype:
      palette || (format === 'uint' && bits <= 8)
        ? 'uint8'
        : format === 'uint' && bits === 16
          ? 'uint16'
          : 'float32',
    offsets,
    byteCounts,
    notes,
  };
}

/** TIFF keeps all reds first, as 16 bits; some writers fill 8 of them only. */
function paletteOf(map: ArrayLike<number>, colours: number): Uint8Array {
  if (map.length < 3 * colours) throw new CorruptImageError('the TIFF has a palette without its colours');
  const shift = Array.from(map).some((value) => value > 255) ? 8 : 0;
  return Uint8Array.from(
    { length: 3 * colours },
    (_, i) => map[(i % 3) * colours + Math.floor(i / 3)]! >> shift,
  );
}

/** The sides of a tile, or of a strip. */
async function chunkOf(page: Directory, { width, height }: Size): Promise<Size> {
  if (page.has(TAG.tileWidth)) {
    return {
      width: await page.positive(TAG.tileWidth, 'tile width'),
      height: await page.positive(TAG.tileHeight, 'tile height'),
    };
  }
  const rows = await page.positive(TAG.rowsPerStrip, 'rows of a strip', height);
  return { width, height: Math.min(height, rows) };
}

/**
 * Leaves an image to libvips, which unpacks its chunks whole.
 * @throws LeaveToLibvips
 * @throws UnpackedTooLargeError where a chunk takes more memory than it may
 */
export function leaveToLibvips(
  layout: Pick<Layout, 'size' | 'chunk' | 'samples' | 'planar' | 'bits'>,
  { maxUnpackedBytes }: OpenOptions,
): never {
  const { size, chunk } = layout;
  const several = chunk.width < size.width || chunk.height < size.height;
  const what = several ? 'a TIFF in very large pieces' : 'a TIFF in one piece';
  checkBytes(what, size, chunkBytes(layout), maxUnpackedBytes);
  throw new LeaveToLibvips();
}

/** A file cut short is told at once, not after an hour of tiles. */
export function checkExtent(layout: Layout, fileBytes: number): void {
  const { across, down, planar, samples, offsets, byteCounts, compression } = layout;
  // No compression makes more of its pixels than this; a chunk is in memory before it is decoded.
  const decoded = chunkBytes(layout);
  const most = compression === COMPRESSION.none ? Number.POSITIVE_INFINITY : 2 * decoded + STORED_SLACK_BYTES;
  const chunks = across * down * (planar ? samples : 1);
  if (offsets.length < chunks || byteCounts.length < chunks) {
    throw new CorruptImageError(`the TIFF lists ${offsets.length} chunks; its size needs ${chunks}`);
  }
  let stored = 0;
  for (let i = 0; i < chunks; i++) {
    const [offset, bytes] = [offsets[i]!, byteCounts[i]!];
    const end = offset + bytes;
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(bytes) || offset < 0 || bytes < 0) {
      throw new CorruptImageError(
        `the TIFF's list of chunks is damaged: chunk ${i} is ${bytes} bytes at ${offset}`,
      );
    }
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
    if (bytes > most) {
      throw new CorruptImageError(
        `chunk ${i} of the TIFF is stored in ${bytes} bytes; its pixels take ${decoded}, stored ${most} at most`,
      );
    }
  }
  if (stored === 0) throw new CorruptImageError('the TIFF holds no pixels: all of its chunks are empty');
}

/** Strips: the last one may have fewer rows. Tiles are always whole. */
export function chunkRows({ size, chunk, across, down }: Layout, index: number): number {
  if (chunk.width !== size.width) return chunk.height;
  const row = Math.floor((index % (across * down)) / across);
  return Math.min(chunk.height, size.height - row * chunk.height);
}

/** Bytes of a decoded chunk at most. */
export function chunkBytes({
  chunk,
  samples,
  planar,
  bits,
}: Pick<Layout, 'chunk' | 'samples' | 'planar' | 'bits'>): number {
  return chunk.height * Math.ceil((chunk.width * (planar ? 1 : samples) * bits) / 8);
}
