import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { CorruptImageError, UnsupportedImageError } from '../../errors.js';
import { type PixelArray, pixelArray } from '../../raster.js';
import type { Bytes } from '../bytes.js';
import { reasonOf } from '../reason.js';
import { decodeJpegTile } from './jpeg-tile.js';
import { decodeJpeg2000 } from './jpeg2000.js';
import { chunkRows, type Layout } from './layout.js';
import { decodeLzw } from './lzw.js';
import { decodePackBits } from './packbits.js';
import { COMPRESSION, PHOTOMETRIC } from './tags.js';

const inflateAsync = promisify(inflate);

/**
 * Reads and decodes one chunk: interleaved values of the layout's type, as they are to be seen (palettes
 * expanded, white bright, narrow values widened), with `chunkSamples` values a pixel.
 *
 * @throws CorruptImageError naming the chunk
 */
export async function readChunk(
  bytes: Bytes,
  layout: Layout,
  index: number,
  raw: boolean,
  signal?: AbortSignal,
): Promise<PixelArray> {
  const { chunk, samples, planar, palette, dtype } = layout;
  const rows = chunkRows(layout, index);
  const rowValues = chunk.width * (planar ? 1 : samples);
  const length = layout.byteCounts[index]!;
  if (length === 0) return pixelArray(dtype, rowValues * rows * (palette ? 3 : 1)); // a sparse file's empty chunk
  const expected = rows * Math.ceil((rowValues * layout.bits) / 8);
  const needed = layout.compression === COMPRESSION.none ? Math.min(length, expected) : length;
  const stored = await bytes.read(layout.offsets[index]!, needed, signal);
  let decoded: Uint8Array;
  try {
    decoded = await decompress(stored, rows, layout);
  } catch (cause) {
    if (cause instanceof UnsupportedImageError) throw cause;
    throw new CorruptImageError(`chunk ${index} of the TIFF cannot be decoded: ${reasonOf(cause)}`, {
      cause,
    });
  }
  if (decoded.length < expected) {
    throw new CorruptImageError(`chunk ${index} of the TIFF holds ${decoded.length} bytes, not ${expected}`);
  }
  const values = asValues(decoded.subarray(0, expected), rowValues, rows, layout, raw);
  if (raw) return values;
  if (palette) return expand(values, palette);
  if (layout.photometric === PHOTOMETRIC.whiteIsZero) invert(values);
  return values;
}

async function decompress(stored: Buffer, rows: number, layout: Layout): Promise<Uint8Array> {
  const { compression, chunk, samples, planar, bits } = layout;
  const rowBytes = Math.ceil((chunk.width * (planar ? 1 : samples) * bits) / 8);
  const frame = { ...chunk, components: samples };
  switch (compression) {
    case COMPRESSION.none:
      return stored;
    case COMPRESSION.jpeg:
      return decodeJpegTile(stored, layout.jpegTables, layout.jpegColour, frame, rows);
    case COMPRESSION.aperioYcbcr:
    case COMPRESSION.aperioRgb:
    case COMPRESSION.jpeg2000: {
      const ycbcr = compression === COMPRESSION.aperioYcbcr || layout.photometric === PHOTOMETRIC.ycbcr;
      return decodeJpeg2000(stored, ycbcr, frame, rows);
    }
    case COMPRESSION.lzw:
      return decodeLzw(stored, rowBytes, rows);
    case COMPRESSION.packBits:
      return decodePackBits(stored, rowBytes * rows);
    default:
      return inflateAsync(stored, { maxOutputLength: rowBytes * chunk.height }).catch(
        (cause: Error & { code?: string }) => {
          if (cause.code !== 'ERR_BUFFER_TOO_LARGE') throw cause;
          throw new Error(`it holds more than the ${rowBytes * chunk.height} bytes of its size`);
        },
      );
  }
}

const STORED = {
  uint: { 8: Uint8Array, 16: Uint16Array, 32: Uint32Array },
  int: { 8: Int8Array, 16: Int16Array, 32: Int32Array },
  float: { 32: Float32Array, 64: Float64Array },
} as const;
type Stored = InstanceType<(typeof STORED)['uint' | 'int'][8 | 16 | 32]> | Float32Array | Float64Array;

/** Decompressed bytes as values of the layout's type; byte order and differencing are undone. */
function asValues(
  bytes: Uint8Array,
  rowValues: number,
  rows: number,
  layout: Layout,
  raw: boolean,
): PixelArray {
  const { bits, format, predictor, dtype, samples, planar } = layout;
  if (bits < 8) return widened(bytes, rowValues, rows, bits, raw || layout.palette !== null);
  const step = planar ? 1 : samples;
  if (predictor === 3) return new Float32Array(undoFloatPredictor(bytes, rowValues, rows, step, bits / 8));
  const width = bits / 8;
  let own = bytes;
  const swap = layout.bigEndian && width > 1 && layout.compression !== COMPRESSION.jpeg;
  if (swap || bytes.byteOffset % width !== 0) {
    own = new Uint8Array(bytes); // aligned, and ours to swap
    const buffer = Buffer.from(own.buffer);
    if (swap && width === 2) buffer.swap16();
    if (swap && width === 4) buffer.swap32();
    if (swap && width === 8) buffer.swap64();
  }
  const Values = (STORED[format] as unknown as Record<number, typeof Uint16Array>)[bits]!;
  const values = new Values(own.buffer as ArrayBuffer, own.byteOffset, rowValues * rows) as Stored;
  if (predictor === 2) {
    for (let row = 0; row < values.length; row += rowValues) {
      for (let i = row + step; i < row + rowValues; i++) values[i]! += values[i - step]!;
    }
  }
  if (dtype !== 'float32') return values as PixelArray;
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

/** Values of 1, 2 or 4 bits, most significant first, each row from a byte of its own; 0 to 255 unless `raw`. */
function widened(bytes: Uint8Array, rowValues: number, rows: number, bits: number, raw: boolean): Uint8Array {
  const values = new Uint8Array(rowValues * rows);
  const rowBytes = Math.ceil((rowValues * bits) / 8);
  const top = 2 ** bits - 1;
  const scale = raw ? 1 : 255 / top;
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < rowValues; i++) {
      const bit = i * bits;
      const byte = bytes[row * rowBytes + (bit >> 3)]!;
      values[row * rowValues + i] = ((byte >> (8 - bits - (bit & 7))) & top) * scale;
    }
  }
  return values;
}

/** Bytes of a row were sorted by significance, then differenced (Adobe Photoshop TIFF Technical Note 3). */
function undoFloatPredictor(
  bytes: Uint8Array,
  rowValues: number,
  rows: number,
  step: number,
  width: number,
): Float64Array | Float32Array {
  const values = width === 4 ? new Float32Array(rowValues * rows) : new Float64Array(rowValues * rows);
  const view = new DataView(values.buffer);
  const rowBytes = rowValues * width;
  const row = new Uint8Array(rowBytes);
  for (let y = 0; y < rows; y++) {
    row.set(bytes.subarray(y * rowBytes, (y + 1) * rowBytes));
    for (let i = step; i < rowBytes; i++) row[i]! += row[i - step]!;
    for (let i = 0; i < rowValues; i++) {
      const at = (y * rowValues + i) * width;
      for (let b = 0; b < width; b++) view.setUint8(at + width - 1 - b, row[b * rowValues + i]!);
    }
  }
  return values;
}

function expand(values: PixelArray, palette: Uint8Array): Uint8Array {
  const rgb = new Uint8Array(values.length * 3);
  for (let i = 0; i < values.length; i++) {
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = palette[3 * values[i]! + c]!;
  }
  return rgb;
}

function invert(values: PixelArray): void {
  if (values instanceof Float32Array) {
    for (let i = 0; i < values.length; i++) values[i] = -values[i]!;
    return;
  }
  const top = values instanceof Uint8Array ? 255 : 65535;
  for (let i = 0; i < values.length; i++) values[i] = top - values[i]!;
}
