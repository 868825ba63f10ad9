import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { fromFile } from 'geotiff';
import { CorruptImageError } from '../errors.js';
import { columns, type Rect, rows, type Size } from '../geometry.js';
import { type Dtype, type PixelArray, pixelArray, type Raster } from '../raster.js';
import type { ImageSource, Resolution } from '../source.js';
import { openBitmap } from './bitmap.js';
import { decodeJpegTile } from './jpeg-tile.js';
import { decodeLzw } from './lzw.js';
import type { OpenOptions } from './options.js';
import { checkDirectory } from './tiff-directory.js';
import { bytesOf, checkExtent, chunkRows, JPEG, type Layout, LZW, layoutOf, NONE } from './tiff-layout.js';

const inflateAsync = promisify(inflate);

/** Decoded chunks kept for the neighbours that share them. */
const CACHE_BYTES = 96 << 20;
/** Chunks larger than this make no random access; the image is unpacked into a scratch file instead. */
const MAX_CHUNK_BYTES = 16 << 20;

/**
 * A TIFF, or an Aperio SVS, read by region: strips or tiles; uncompressed, LZW, deflate or JPEG; 8 or
 * 16 bits; gray, RGB or RGBA, interleaved. The first image of the file is read unless another is asked
 * for; an SVS keeps the slide there, and its thumbnail, label and macro images behind it.
 *
 * geotiff parses the directories. Chunks are decoded here, and copied row by row: its own region reader
 * works value by value.
 */
export async function openTiff(path: string, options: OpenOptions): Promise<ImageSource> {
  const corrupt = (cause: unknown): never => {
    if (cause instanceof Error && 'code' in cause) throw cause;
    throw new CorruptImageError(`the TIFF cannot be read: ${(cause as Error).message}`, { cause });
  };
  const file = await open(path);
  try {
    const { size: fileBytes } = await file.stat();
    await checkDirectory(file, fileBytes);
    const tiff = await fromFile(path).catch(corrupt);
    const layout = await tiff
      .getImage(options.page ?? 0)
      .then((image) => layoutOf(image, options))
      .catch(corrupt)
      .finally(() => tiff.close());
    if (layout.chunk.width * layout.chunk.height * layout.samples * bytesOf(layout.dtype) > MAX_CHUNK_BYTES) {
      await file.close();
      return await openBitmap(path, options);
    }
    checkExtent(layout, fileBytes);
    return new TiffSource(file, layout);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** How many images a TIFF holds; 1 for any other file. */
export async function countPages(path: string): Promise<number> {
  const tiff = await fromFile(path).catch(() => null);
  if (tiff === null) return 1;
  return tiff.getImageCount().finally(() => tiff.close());
}

class TiffSource implements ImageSource {
  readonly size: Size;
  readonly channels: number;
  readonly dtype: Dtype;
  readonly resolution: Resolution | null;
  readonly notes: readonly string[];
  readonly #chunks = new Map<number, Promise<PixelArray>>();
  readonly #cached: number;

  constructor(
    private readonly file: FileHandle,
    private readonly layout: Layout,
  ) {
    ({
      size: this.size,
      channels: this.channels,
      dtype: this.dtype,
      resolution: this.resolution,
      notes: this.notes,
    } = layout);
    const { width, height } = layout.chunk;
    const bytes = width * height * this.channels * bytesOf(this.dtype);
    this.#cached = Math.max(4, Math.floor(CACHE_BYTES / bytes));
  }

  async readRegion(rect: Rect, signal?: AbortSignal): Promise<Raster> {
    const { channels, layout } = this;
    const data = pixelArray(this.dtype, rect.width * rect.height * channels);
    const reads: Promise<void>[] = [];
    const down = touched(rows(rect), layout.chunk.height);
    for (let row = down.start; row < down.stop; row++) {
      const across = touched(columns(rect), layout.chunk.width);
      for (let column = across.start; column < across.stop; column++) {
        signal?.throwIfAborted();
        reads.push(
          this.#chunk(row * layout.across + column).then((chunk) =>
            copy(chunk, { row, column }, layout, rect, data),
          ),
        );
      }
    }
    await Promise.all(reads);
    return { data, width: rect.width, height: rect.height, channels };
  }

  close(): Promise<void> {
    return this.file.close();
  }

  /** A decoded chunk, kept while it is among the most recently used. */
  #chunk(index: number): Promise<PixelArray> {
    const known = this.#chunks.get(index);
    this.#chunks.delete(index);
    const chunk = known ?? this.#decode(index);
    this.#chunks.set(index, chunk);
    chunk.catch(() => this.#chunks.delete(index));
    for (const oldest of this.#chunks.keys()) {
      if (this.#chunks.size <= this.#cached) break;
      this.#chunks.delete(oldest);
    }
    return chunk;
  }

  async #decode(index: number): Promise<PixelArray> {
    const { layout } = this;
    const values = layout.chunk.width * chunkRows(layout, index) * layout.samples;
    const length = Number(layout.byteCounts[index]);
    if (length === 0) return pixelArray(this.dtype, values); // a sparse file's empty chunk
    const stored = Buffer.alloc(length);
    const { bytesRead } = await this.file.read(stored, 0, length, Number(layout.offsets[index]));
    if (bytesRead < length) throw new CorruptImageError(`the file ends inside chunk ${index}`);
    let bytes: Uint8Array;
    try {
      bytes = await decompress(stored, index, layout);
    } catch (cause) {
      const message = (cause as Error).message.split('\n')[0];
      throw new CorruptImageError(`chunk ${index} of the TIFF cannot be decoded: ${message}`, { cause });
    }
    if (bytes.length < values * bytesOf(this.dtype)) {
      throw new CorruptImageError(
        `chunk ${index} of the TIFF holds ${bytes.length} bytes, not ${values * bytesOf(this.dtype)}`,
      );
    }
    const data = asPixels(bytes, this.dtype, layout.bigEndian && layout.compression !== JPEG);
    if (layout.predictor === 2) undoPredictor(data, layout.chunk.width, layout.samples);
    return data;
  }
}

/** Copies the part of a chunk that lies in a region; drops alpha. */
function copy(
  chunk: PixelArray,
  at: { readonly row: number; readonly column: number },
  { chunk: size, samples, channels }: Layout,
  rect: Rect,
  into: PixelArray,
): void {
  const [x0, y0] = [at.column * size.width, at.row * size.height];
  const [left, right] = [Math.max(rect.x, x0), Math.min(rect.x + rect.width, x0 + size.width)];
  const [top, bottom] = [Math.max(rect.y, y0), Math.min(rect.y + rect.height, y0 + size.height)];
  for (let y = top; y < bottom; y++) {
    const from = ((y - y0) * size.width + left - x0) * samples;
    const to = ((y - rect.y) * rect.width + left - rect.x) * channels;
    if (samples === channels) {
      into.set(chunk.subarray(from, from + (right - left) * samples), to);
      continue;
    }
    for (let i = 0; i < right - left; i++) {
      for (let c = 0; c < channels; c++) into[to + i * channels + c] = chunk[from + i * samples + c]!;
    }
  }
}

async function decompress(stored: Buffer, index: number, layout: Layout): Promise<Uint8Array> {
  const { compression } = layout;
  if (compression === NONE) return stored;
  if (compression === JPEG) {
    const { data, width } = await decodeJpegTile(stored, layout.jpegTables, layout.jpegColour);
    if (width !== layout.chunk.width)
      throw new Error(`a JPEG ${width} px wide in a chunk of ${layout.chunk.width}`);
    return data;
  }
  if (compression === LZW) {
    const rowBytes = layout.chunk.width * layout.samples * bytesOf(layout.dtype);
    return decodeLzw(stored, rowBytes, chunkRows(layout, index));
  }
  return inflateAsync(stored);
}

function asPixels(bytes: Uint8Array, dtype: Dtype, swap: boolean): PixelArray {
  if (dtype === 'uint8') return bytes;
  const even = bytes.subarray(0, bytes.length & ~1);
  const own = Buffer.from(even); // aligned and ours to swap
  if (swap) own.swap16();
  const aligned = own.byteOffset % 2 === 0 ? own : Buffer.from(own);
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
}

/** Horizontal differencing: each value was stored as its difference from the one before in its row. */
function undoPredictor(data: PixelArray, width: number, samples: number): void {
  const length = width * samples;
  for (let row = 0; row + length <= data.length; row += length) {
    for (let i = row + samples; i < row + length; i++) data[i]! += data[i - samples]!;
  }
}

function touched(
  { start, stop }: { start: number; stop: number },
  step: number,
): { start: number; stop: number } {
  return { start: Math.floor(start / step), stop: Math.ceil(stop / step) };
}
