import { CorruptImageError, UnsupportedImageError } from '../../errors.js';
import { type PixelArray, pixelArray } from '../../raster.js';
import { COMPRESSION, PHOTOMETRIC } from '../../tiff/tags.js';
import type { Bytes } from '../bytes.js';
import { reasonOf } from '../reason.js';
import { chunkRows } from './chunk-table.js';
import { inflateChunk } from './inflate.js';
import { decodeJpegTile } from './jpeg-tile.js';
import { decodeJpeg2000 } from './jpeg2000.js';
import type { Layout } from './layout.js';
import { decodeLzw } from './lzw.js';
import { decodePackBits } from './packbits.js';
import { bytesPerRow, chunkSamples } from './values.js';

/**
 * Reads and decodes one chunk: interleaved values of the layout's type, `chunkSamples` per pixel, or 3 with a
 * palette. They are made intensities: palettes are applied, 0 is black, narrow values fill 8 bits.
 *
 * @param isRaw whether values are returned as stored instead
 * @throws CorruptImageError naming the chunk
 */
export async function readChunk(
  bytes: Bytes,
  layout: Layout,
  index: number,
  isRaw: boolean,
): Promise<PixelArray> {
  const { chunk, palette, dtype } = layout;
  const rows = chunkRows(layout, index);
  const rowValues = chunk.width * chunkSamples(layout);
  const length = layout.byteCounts[index]!;
  if (length === 0) return pixelArray(dtype, rowValues * rows * (palette ? 3 : 1)); // empty, in a sparse file
  const expected = rows * bytesPerRow(chunk.width, layout);
  const needed = layout.compression === COMPRESSION.none ? Math.min(length, expected) : length;
  const stored = await bytes.read(layout.offsets[index]!, needed);
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
  const values = decodeValues(decoded.subarray(0, expected), rowValues, rows, layout, isRaw);
  if (isRaw) return values;
  if (palette) return applyPalette(values, palette);
  if (layout.photometric === PHOTOMETRIC.whiteIsZero) invertValues(values);
  return values;
}

async function decompress(stored: Buffer, rows: number, layout: Layout): Promise<Uint8Array> {
  const { compression, chunk, samples } = layout;
  const rowBytes = bytesPerRow(chunk.width, layout);
  const frame = { ...chunk, components: samples };
  switch (compression) {
    case COMPRESSION.none:
      return stored;
    case COMPRESSION.jpeg:
      return decodeJpegTile(stored, layout.jpegTables, layout.jpegColour, frame, rows);
    case COMPRESSION.aperioYcbcr:
    case COMPRESSION.aperioRgb:
    case COMPRESSION.jpeg2000: {
      const isYcbcr = compression === COMPRESSION.aperioYcbcr || layout.photometric === PHOTOMETRIC.ycbcr;
      return decodeJpeg2000(stored, isYcbcr, frame, rows);
    }
    case COMPRESSION.lzw:
      return decodeLzw(stored, rowBytes, rows);
    case COMPRESSION.packBits:
      return decodePackBits(stored, rowBytes * rows);
    default:
      return inflateChunk(stored, rowBytes * rows, rowBytes * chunk.height);
  }
}

const STORED = {
  uint: { 8: Uint8Array, 16: Uint16Array, 32: Uint32Array },
  int: { 8: Int8Array, 16: Int16Array, 32: Int32Array },
  float: { 32: Float32Array, 64: Float64Array },
} as const;
type Stored = InstanceType<(typeof STORED)['uint' | 'int'][8 | 16 | 32]> | Float32Array | Float64Array;

/** Turns decompressed bytes into values of the layout's type: undoes byte order and prediction. */
function decodeValues(
  bytes: Uint8Array,
  rowValues: number,
  rows: number,
  layout: Layout,
  isRaw: boolean,
): PixelArray {
  const { bits, format, predictor, dtype } = layout;
  if (bits < 8) return unpackBits(bytes, rowValues, rows, bits, isRaw || layout.palette !== null);
  const step = chunkSamples(layout);
  if (predictor === 3) return new Float32Array(undoFloatPredictor(bytes, rowValues, rows, step, bits / 8));
  const width = bits / 8;
  let aligned = bytes;
  const swap = layout.bigEndian && width > 1 && layout.compression !== COMPRESSION.jpeg;
  if (swap || bytes.byteOffset % width !== 0) {
    aligned = new Uint8Array(bytes); // a copy, which may be swapped in place
    const buffer = Buffer.from(aligned.buffer);
    if (swap && width === 2) buffer.swap16();
    if (swap && width === 4) buffer.swap32();
    if (swap && width === 8) buffer.swap64();
  }
  const Values = (STORED[format] as unknown as Record<number, typeof Uint16Array>)[bits]!;
  const values = new Values(aligned.buffer as ArrayBuffer, aligned.byteOffset, rowValues * rows) as Stored;
  if (predictor === 2) {
    for (let row = 0; row < values.length; row += rowValues) {
      for (let i = row + step; i < row + rowValues; i++) values[i]! += values[i - step]!;
    }
  }
  if (dtype !== 'float32') return values as PixelArray;
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

/** Unpacks values of 1, 2 or 4 bits, most significant first, and scales them to 0 to 255 unless `isRaw`. */
function unpackBits(
  bytes: Uint8Array,
  rowValues: number,
  rows: number,
  bits: number,
  isRaw: boolean,
): Uint8Array {
  const values = new Uint8Array(rowValues * rows);
  const rowBytes = Math.ceil((rowValues * bits) / 8);
  const top = 2 ** bits - 1;
  const scale = isRaw ? 1 : 255 / top;
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < rowValues; i++) {
      const bit = i * bits;
      const byte = bytes[row * rowBytes + (bit >> 3)]!;
      values[row * rowValues + i] = ((byte >> (8 - bits - (bit & 7))) & top) * scale;
    }
  }
  return values;
}

/**
 * Undoes predictor 3: the bytes of a row's floats are grouped by significance, then differenced
 * (Adobe Photoshop TIFF Technical Note 3).
 */
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

function applyPalette(values: PixelArray, palette: Uint8Array): Uint8Array {
  const rgb = new Uint8Array(values.length * 3);
  for (let i = 0; i < values.length; i++) {
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = palette[3 * values[i]! + c]!;
  }
  return rgb;
}

function invertValues(values: PixelArray): void {
  if (values instanceof Float32Array) {
    for (let i = 0; i < values.length; i++) values[i] = -values[i]!;
    return;
  }
  const top = values instanceof Uint8Array ? 255 : 65535;
  for (let i = 0; i < values.length; i++) values[i] = top - values[i]!;
}
