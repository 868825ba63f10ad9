import { CorruptImageError } from '../../errors.js';
import type { Size } from '../../geometry.js';
import { COMPRESSION, TAG } from '../../tiff/tags.js';
import type { Directory } from './directory.js';
import { bytesPerRow, chunkBytes, planesOf, type StoredValues } from './values.js';

/** An uncompressed strip is read in pieces of about this many bytes. */
const PIECE_BYTES = 1 << 20;
/** What a stored chunk may hold besides its pixels: tables, profiles and headers. */
const STORED_SLACK_BYTES = 1 << 18;
/** How many chunks an image may have, each an entry of a list. */
const MAX_CHUNKS = 1 << 24;

/** Where the chunks of an image are: tiles, strips, or pieces of a strip, the unit of reading. */
export interface ChunkTable {
  readonly chunk: Size;
  readonly across: number;
  readonly down: number;
  /** Of each chunk, row by row; with planes, all of the first plane first. */
  readonly offsets: ArrayLike<number>;
  readonly byteCounts: ArrayLike<number>;
}

/**
 * Reads where chunks are. A single uncompressed strip, as Fiji writes it, is split: any rows of it can be read.
 * @throws CorruptImageError for a strip that is longer than the file
 */
export async function readChunkTable(page: Directory, size: Size, values: StoredValues): Promise<ChunkTable> {
  const isTiled = page.has(TAG.tileWidth);
  const chunk = await chunkSizeOf(page, size);
  const offsets = await page.numbers(isTiled ? TAG.tileOffsets : TAG.stripOffsets, MAX_CHUNKS);
  const byteCounts = await page.numbers(isTiled ? TAG.tileByteCounts : TAG.stripByteCounts, MAX_CHUNKS);
  const planes = planesOf(values);
  const isSingle = !isTiled && chunk.height === size.height && offsets.length === planes;
  const canSplit = isSingle && values.compression === COMPRESSION.none && byteCounts.length === planes;
  if (canSplit) return splitStrips(size, values, { offsets, byteCounts }, page.bytes.length);
  return { chunk, ...grid(size, chunk), offsets, byteCounts };
}

/** The chunks of an image that has one strip per plane, as pieces of these strips. */
function splitStrips(
  { width, height }: Size,
  values: StoredValues,
  strips: Pick<ChunkTable, 'offsets' | 'byteCounts'>,
  fileBytes: number,
): ChunkTable {
  const planes = planesOf(values);
  const rowBytes = bytesPerRow(width, values);
  if (rowBytes * height * planes > fileBytes) {
    throw new CorruptImageError(
      `the TIFF is truncated: its ${width} × ${height} px take more than its ${fileBytes} bytes`,
    );
  }
  const rows = Math.max(1, Math.min(height, Math.floor(PIECE_BYTES / rowBytes)));
  const pieces = Math.ceil(height / rows);
  const count = { length: pieces * planes };
  const plane = (i: number) => Math.floor(i / pieces);
  const start = (i: number) => (i % pieces) * rows * rowBytes;
  const chunk = { width, height: rows };
  return {
    chunk,
    ...grid({ width, height }, chunk),
    offsets: Float64Array.from(count, (_, i) => strips.offsets[plane(i)]! + start(i)),
    byteCounts: Float64Array.from(count, (_, i) => {
      const rest = strips.byteCounts[plane(i)]! - start(i);
      return Math.max(0, Math.min(rest, rows * rowBytes));
    }),
  };
}

/** Reads the size of a tile, or of a strip. */
export async function chunkSizeOf(page: Directory, { width, height }: Size): Promise<Size> {
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
 * Checks that all chunks lie in the file, so that a truncated one is refused when it is opened, not after an
 * hour of tiles.
 */
export function checkChunks(table: ChunkTable, values: StoredValues, fileBytes: number): void {
  const { across, down, offsets, byteCounts } = table;
  const decoded = chunkBytes(table.chunk, values);
  // No compression makes more of its pixels than this; a chunk is in memory before it is decoded.
  const isPlain = values.compression === COMPRESSION.none;
  const maxStored = isPlain ? Number.POSITIVE_INFINITY : 2 * decoded + STORED_SLACK_BYTES;
  const chunks = across * down * planesOf(values);
  if (offsets.length < chunks || byteCounts.length < chunks) {
    throw new CorruptImageError(`the TIFF lists ${offsets.length} chunks; its size requires ${chunks}`);
  }
  let stored = 0;
  for (let i = 0; i < chunks; i++) {
    const [offset, bytes] = [offsets[i]!, byteCounts[i]!];
    const isValid = isCount(offset) && isCount(bytes);
    // Both are 0 for an empty chunk of a sparse file. One 0 alone is what a lost tail reads as.
    if (!isValid || (offset === 0) !== (bytes === 0)) {
      throw new CorruptImageError(
        `the TIFF's list of chunks is damaged: chunk ${i} is ${bytes} bytes at ${offset}`,
      );
    }
    stored += bytes;
    const end = offset + bytes;
    if (end > fileBytes) {
      throw new CorruptImageError(`the TIFF is truncated: chunk ${i} ends at byte ${end} of ${fileBytes}`);
    }
    if (bytes > maxStored) {
      throw new CorruptImageError(
        `chunk ${i} of the TIFF takes ${bytes} bytes; its pixels take ${decoded}, stored at most ${maxStored}`,
      );
    }
  }
  if (stored === 0) throw new CorruptImageError('the TIFF holds no pixels: all of its chunks are empty');
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/** Rows of a chunk: the last strip may have fewer than the others, tiles never have. */
export function chunkRows(
  { size, chunk, across, down }: Pick<ChunkTable, 'chunk' | 'across' | 'down'> & { readonly size: Size },
  index: number,
): number {
  if (chunk.width !== size.width) return chunk.height;
  const row = Math.floor((index % (across * down)) / across);
  return Math.min(chunk.height, size.height - row * chunk.height);
}

function grid(size: Size, chunk: Size): { readonly across: number; readonly down: number } {
  return { across: Math.ceil(size.width / chunk.width), down: Math.ceil(size.height / chunk.height) };
}
