import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import sharp, { type Metadata, type Sharp } from 'sharp';
import { limitsFor } from '../decode-limits.js';
import { CorruptImageError, DiskFullError, TilingError, UnsupportedImageError } from '../errors.js';
import type { Rect, Size } from '../geometry.js';
import { isStack } from '../planes.js';
import { bytesOf, type Dtype, pixelArray, type Raster } from '../raster.js';
import type { ImageFacts, ImageSource } from '../source.js';
import { checkPlace } from './choice.js';
import { memorySource } from './memory.js';
import { checkPixels, type OpenOptions } from './options.js';
import { reasonOf } from './reason.js';
import { believablePixelSize } from './resolution.js';
import { checkUnpacked } from './unpacked.js';

/** libvips' own format: a header of 64 bytes, then raw pixels row by row, then XML. */
const HEADER_BYTES = 64;
const MAGIC = 0x08f2a6b6;
/** What sharp reports for pictures without a density. */
const DEFAULT_DPI = 72;
const INCH_MICRONS = 25_400;
const FORMATS: Record<number, Dtype> = { 0: 'uint8', 2: 'uint16' };

/** How pictures are read: with the stored values, and not at all if damaged. */
const READ = {
  limitInputPixels: false, // headers are checked by `checkPixels`; decoding is limited to the size in the header
  failOn: 'warning',
  sequentialRead: true,
  ignoreIcc: true,
} as const;

/** Pictures of no more bytes are decoded into memory. */
const IN_MEMORY_BYTES = 4 << 20;

/**
 * Opens a picture without random access (PNG, JPEG and whatever else sharp reads): it is streamed once into a
 * scratch file of raw pixels, from which regions are read; a small one is decoded into memory.
 *
 * @param bytes the whole file, where it was read already
 * @throws UnpackedTooLargeError, DiskFullError, CorruptImageError, UnsupportedImageError
 */
export async function openBitmap(
  path: string,
  options: OpenOptions,
  bytes: Buffer | null = null,
): Promise<ImageSource> {
  const input = bytes ?? path;
  const header = await headerOf(input, options).catch((cause: unknown) => {
    if (cause instanceof TilingError) throw cause;
    throw new CorruptImageError(`the picture's header cannot be read: ${reasonOf(cause, path)}`, { cause });
  });
  const size = { width: header.width, height: header.height };
  checkPixels(size, options);
  checkUnpacked(header, options.maxUnpackedBytes);
  const facts = factsOf(header, options);
  if (options.headerOnly) {
    const readRegion = () => Promise.reject(new Error('only the header was opened'));
    return { size, facts, overviews: [], readRegion, close: async () => undefined };
  }
  const picture = pictureOf(input, header, facts, options.page);
  const pixelBytes = facts.channels * bytesOf(facts.dtype);
  if (size.width * size.height * pixelBytes <= IN_MEMORY_BYTES) {
    const raster = await decode(picture, size, facts).catch((cause: unknown) => {
      options.signal?.throwIfAborted();
      throw undecodable(cause, path);
    });
    return { ...memorySource(raster), facts };
  }
  const scratch = join(options.scratchDir, `${randomUUID()}.v`);
  try {
    await picture.toFile(scratch);
    options.signal?.throwIfAborted();
    return await RawFile.open(scratch, size, facts);
  } catch (cause) {
    options.signal?.throwIfAborted();
    if (isDiskFull(cause)) throw new DiskFullError('there is no room to unpack the picture', { cause });
    throw undecodable(cause, path);
  } finally {
    // An open file is still read without its name, and nothing is left of it if the process is killed.
    await rm(scratch, { force: true });
  }
}

/** @throws UnsupportedImageError for other pictures than gray and RGB of 8 or 16 bits */
function factsOf(header: Metadata, options: OpenOptions): ImageFacts {
  const { depth, space, hasAlpha, orientation, density } = header;
  const isGray = space === 'b-w' || space === 'grey16';
  if (depth !== 'uchar' && depth !== 'ushort') {
    const remedy = 'store 8 or 16 bits per channel';
    throw new UnsupportedImageError(`pictures of ${depth} pixels are not supported: ${remedy}`);
  }
  if (header.channels > 4 || (!isGray && header.channels < 3) || space === 'cmyk') {
    const what = `${header.channels} channels in colour space "${space}"`;
    throw new UnsupportedImageError(`pictures of ${what} are not supported: store gray or RGB`);
  }
  const notes: string[] = [];
  if (hasAlpha) notes.push('alpha dropped');
  if (orientation !== undefined && orientation !== 1) notes.push(`EXIF orientation ${orientation} ignored`);
  const side = density && density !== DEFAULT_DPI ? INCH_MICRONS / density : null;
  const resolution = believablePixelSize(side === null ? null : { x: side, y: side }, options.mpp);
  return {
    channels: isGray ? 1 : 3,
    dtype: depth === 'ushort' ? 'uint16' : 'uint8',
    channelNames: null,
    mpp: resolution.mpp,
    notes: [...notes, ...resolution.notes],
    isUnpacked: true,
  };
}

/** A picture without its alpha, in the values that are stored. */
function pictureOf(
  input: string | Buffer,
  { width, height, hasAlpha }: Metadata,
  { channels, dtype }: ImageFacts,
  page = 0,
): Sharp {
  const { limitInputPixels, seconds } = limitsFor({ width, height });
  const picture = sharp(input, { ...READ, limitInputPixels, page }).timeout({ seconds });
  const isGray = channels === 1;
  const space = dtype === 'uint16' ? (isGray ? 'grey16' : 'rgb16') : isGray ? 'b-w' : 'srgb';
  return (hasAlpha ? picture.removeAlpha() : picture).toColourspace(space);
}

/** Decodes a picture into memory. */
async function decode(
  picture: Sharp,
  { width, height }: Size,
  { channels, dtype }: ImageFacts,
): Promise<Raster> {
  const bytes = await picture.raw({ depth: dtype === 'uint16' ? 'ushort' : 'uchar' }).toBuffer();
  const length = width * height * channels;
  if (bytes.length !== length * bytesOf(dtype)) throw new Error(`its pixels are ${bytes.length} bytes`);
  const Pixels = dtype === 'uint16' ? Uint16Array : Uint8Array;
  return { data: new Pixels(bytes.buffer, bytes.byteOffset, length), width, height, channels };
}

const undecodable = (cause: unknown, path: string): CorruptImageError =>
  new CorruptImageError(`the picture cannot be decoded: ${reasonOf(cause, path)}`, { cause });

/** @throws UnsupportedImageError for a page that does not exist */
async function headerOf(input: string | Buffer, options: OpenOptions): Promise<Metadata> {
  const page = options.page ?? 0;
  const first = await sharp(input, READ).metadata();
  const { pages = 1 } = first;
  checkPlace(options, { pages });
  if (pages > 1 && isStack(options)) {
    throw new UnsupportedImageError(
      `the ${pages} pages of this picture are no stack: choose one with page, or save them as a TIFF`,
    );
  }
  return page === 0 ? first : sharp(input, { ...READ, page }).metadata();
}

/** Reads the scratch file, whose name has been removed already. */
class RawFile implements ImageSource {
  readonly overviews = [];

  private constructor(
    private readonly file: FileHandle,
    readonly size: Size,
    readonly facts: ImageFacts,
  ) {}

  static async open(path: string, size: Size, facts: ImageFacts): Promise<RawFile> {
    const { channels, dtype } = facts;
    const file = await open(path, constants.O_RDONLY);
    const header = Buffer.alloc(HEADER_BYTES);
    await file.read(header, 0, HEADER_BYTES, 0);
    const [magic, width, height, bands, , format] = [0, 4, 8, 12, 16, 20].map((at) => header.readInt32LE(at));
    const expected = magic === MAGIC && width === size.width && height === size.height;
    if (!expected || bands !== channels || FORMATS[format!] !== dtype) {
      await file.close();
      throw new Error(`the scratch file is not ${size.width}×${size.height}×${channels} ${dtype}`);
    }
    return new RawFile(file, size, facts);
  }

  async readRegion(rect: Rect, signal?: AbortSignal): Promise<Raster> {
    signal?.throwIfAborted();
    const { channels, dtype } = this.facts;
    const data = pixelArray(dtype, rect.width * rect.height * channels);
    const bytes = new Uint8Array(data.buffer);
    const pixel = channels * data.BYTES_PER_ELEMENT;
    const length = rect.width * pixel;
    // The rows of a region as wide as the picture are contiguous.
    const together = rect.width === this.size.width ? rect.height : 1;
    const reads: Promise<void>[] = [];
    for (let row = 0; row < rect.height; row += together) {
      const position = HEADER_BYTES + ((rect.y + row) * this.size.width + rect.x) * pixel;
      reads.push(readFully(this.file, bytes.subarray(row * length, (row + together) * length), position));
    }
    await Promise.all(reads);
    return { data, width: rect.width, height: rect.height, channels };
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

async function readFully(file: FileHandle, into: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) throw new CorruptImageError('the scratch file ended too early');
    done += bytesRead;
  }
}

/** libvips reports that a write failed, but not always the system's reason. */
function isDiskFull(cause: unknown): boolean {
  return /no space left|write failed/i.test(cause instanceof Error ? cause.message : String(cause));
}
