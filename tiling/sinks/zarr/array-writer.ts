import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Size } from '../../geometry.js';
import { crc32c } from './crc32c.js';

/** A compressed chunk of a row of chunks; null bytes where all of its values are 0, which is what readers fill in. */
export interface EncodedChunk {
  /** Of the array, in chunks. */
  readonly column: number;
  readonly bytes: Uint8Array | null;
}

/**
 * Writes the chunks of one array, in any order of rows, each chunk once.
 * @param indices those of the axes before y
 */
export interface ArrayWriter {
  writeChunks(indices: readonly number[], row: number, chunks: readonly EncodedChunk[]): Promise<void>;
}

/** A plane of an array, and how it is cut. */
export interface PlaneGrid {
  /** In px. */
  readonly size: Size;
  /** Side of a square chunk in px. */
  readonly chunkPx: number;
}

/** Writes each chunk as a file of its own, as Zarr 2 has them: `INDICES/ROW/COLUMN`. */
export class ChunkFiles implements ArrayWriter {
  constructor(
    private readonly folder: string,
    /** Whether files are synced to the disk as they are written. */
    private readonly isDurable: boolean,
  ) {}

  async writeChunks(indices: readonly number[], row: number, chunks: readonly EncodedChunk[]): Promise<void> {
    for (const { column, bytes } of chunks) {
      if (bytes) await append(this.folder, [...indices, row, column].map(String), bytes, this.isDurable);
    }
  }
}

/** A shard that is being written. */
interface OpenShard {
  /** Below the folder of the array. */
  readonly path: readonly string[];
  /** Offset and length of each chunk, row by row; the greatest number for one that is not there. */
  readonly index: BigUint64Array;
  /** Chunks that have not come. */
  missing: number;
  bytes: number;
}

/** What a shard's index has for a chunk that is not there. */
const NONE = 2n ** 64n - 1n;

/**
 * Writes the chunks of an array into shards, as Zarr 3 has them: files of many chunks, with an index at their end
 * (`sharding_indexed`). A slide of 100,000 px a side has some hundred files instead of tens of thousands. A shard of
 * zeros alone is no file.
 *
 * Chunks are appended as they come, so that memory holds the indices of incomplete shards and no chunk.
 */
export class ShardFiles implements ArrayWriter {
  readonly #open = new Map<string, OpenShard>();
  /** Of the plane, in chunks. */
  readonly #chunks: Size;

  constructor(
    private readonly folder: string,
    { size, chunkPx }: PlaneGrid,
    /** Of a shard, in chunks. */
    private readonly shard: Size,
    private readonly isDurable: boolean,
  ) {
    this.#chunks = {
      width: Math.ceil(size.width / chunkPx),
      height: Math.ceil(size.height / chunkPx),
    };
  }

  async writeChunks(indices: readonly number[], row: number, chunks: readonly EncodedChunk[]): Promise<void> {
    for (const [column, own] of byShard(chunks, this.shard.width)) {
      await this.#append(
        [...indices, Math.floor(row / this.shard.height), column],
        row % this.shard.height,
        own,
      );
    }
  }

  /** @param row of the chunks, in the shard */
  async #append(at: readonly number[], row: number, chunks: readonly EncodedChunk[]): Promise<void> {
    const key = at.join('/');
    const shard = this.#open.get(key) ?? this.#openShard(at);
    this.#open.set(key, shard);
    const parts: Uint8Array[] = [];
    for (const { column, bytes } of chunks) {
      shard.missing--;
      if (bytes === null) continue;
      const entry = 2 * (row * this.shard.width + (column % this.shard.width));
      shard.index[entry] = BigInt(shard.bytes);
      shard.index[entry + 1] = BigInt(bytes.length);
      shard.bytes += bytes.length;
      parts.push(bytes);
    }
    const isComplete = shard.missing === 0;
    if (isComplete) this.#open.delete(key);
    if (isComplete && shard.bytes > 0) parts.push(indexBytes(shard.index));
    if (parts.length > 0) {
      await append(this.folder, shard.path, Buffer.concat(parts), isComplete && this.isDurable);
    }
  }

  #openShard(at: readonly number[]): OpenShard {
    const [row, column] = at.slice(-2) as [number, number];
    const { width, height } = this.shard;
    const across = Math.min(width, this.#chunks.width - column * width);
    const down = Math.min(height, this.#chunks.height - row * height);
    return {
      path: ['c', ...at.map(String)],
      index: new BigUint64Array(2 * width * height).fill(NONE),
      missing: across * down,
      bytes: 0,
    };
  }
}

/** The chunks of a row by the columns of their shards. */
function byShard(chunks: readonly EncodedChunk[], width: number): ReadonlyMap<number, EncodedChunk[]> {
  const groups = new Map<number, EncodedChunk[]>();
  for (const chunk of chunks) {
    const shard = Math.floor(chunk.column / width);
    const group = groups.get(shard);
    if (group) group.push(chunk);
    else groups.set(shard, [chunk]);
  }
  return groups;
}

/** An index as it is stored: little-endian, as all machines that engines are built for, and its checksum. */
function indexBytes(index: BigUint64Array): Uint8Array {
  const numbers = new Uint8Array(index.buffer);
  const bytes = Buffer.alloc(numbers.length + 4);
  bytes.set(numbers);
  bytes.writeUInt32LE(crc32c(numbers), numbers.length);
  return bytes;
}

/**
 * Appends to a file, which is created where there is none, and so are its folders below that of the array. Where that is
 * gone, so is what it belongs to: it does not come back.
 */
async function append(
  folder: string,
  path: readonly string[],
  bytes: Uint8Array,
  isDurable: boolean,
): Promise<void> {
  const name = join(folder, ...path);
  const file = await open(name, 'a').catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    for (let depth = 1; depth < path.length; depth++) {
      await mkdir(join(folder, ...path.slice(0, depth))).catch((cause: NodeJS.ErrnoException) => {
        if (cause.code !== 'EEXIST') throw cause;
      });
    }
    return open(name, 'a');
  });
  try {
    await file.appendFile(bytes);
    if (isDurable) await file.datasync();
  } finally {
    await file.close();
  }
}
