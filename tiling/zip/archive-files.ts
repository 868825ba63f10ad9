import type { FileHandle } from 'node:fs/promises';
import { UnsupportedOutputError } from '../errors.js';
import {
  contentAt,
  entryAt,
  MAX_DIRECTORY_BYTES,
  MAX_END_BYTES,
  nameAt,
  readEnd,
  recordPositions,
} from './records.js';

/** Where the content of a file is in its archive, in bytes. */
export interface ArchivedFile {
  readonly start: number;
  readonly length: number;
}

/**
 * The files of an archive by their names. In memory it is the central directory as it is stored, and a hash table of its
 * records' positions: some 110 bytes for each file.
 */
export class ArchiveFiles {
  /** Positions of records plus 1, 0 for none: a record is at the hash of its name, or at the next place that was free. */
  readonly #table: Uint32Array;

  /** @throws Error for what this server has not written */
  constructor(private readonly directory: Buffer) {
    const positions = recordPositions(directory);
    this.#table = new Uint32Array(2 ** Math.ceil(Math.log2(2 * positions.length + 1)));
    for (const position of positions) this.#table[this.#placeOf(nameAt(directory, position))] = position + 1;
  }

  /** What it takes of the memory. */
  get bytes(): number {
    return this.directory.length + this.#table.byteLength;
  }

  /** Finds the content of a file; null where there is no such file. */
  find(name: string): ArchivedFile | null {
    const position = this.#table[this.#placeOf(Buffer.from(name))]!;
    if (position === 0) return null;
    const entry = entryAt(this.directory, position - 1);
    return { start: contentAt(entry), length: entry.length };
  }

  /** The place of a name in the table, or the free one where it would be. */
  #placeOf(name: Buffer): number {
    const mask = this.#table.length - 1;
    for (let place = hash(name) & mask; ; place = (place + 1) & mask) {
      const position = this.#table[place]!;
      if (position === 0 || name.equals(nameAt(this.directory, position - 1))) return place;
    }
  }
}

/**
 * Reads which files an archive has that this server has written.
 * @throws Error for a damaged archive
 */
export async function readArchiveFiles(archive: FileHandle): Promise<ArchiveFiles> {
  const { size } = await archive.stat();
  const { offset, bytes } = readEnd(await read(archive, Math.max(0, size - MAX_END_BYTES), size));
  if (offset + bytes > size) throw new Error('the archive of a result is damaged');
  if (bytes > MAX_DIRECTORY_BYTES) {
    throw new UnsupportedOutputError(
      'the OME-Zarr has too many files to be read one by one: download the archive',
    );
  }
  return new ArchiveFiles(await read(archive, offset, offset + bytes));
}

async function read(archive: FileHandle, start: number, stop: number): Promise<Buffer> {
  const bytes = Buffer.alloc(stop - start);
  const { bytesRead } = await archive.read(bytes, 0, bytes.length, start);
  if (bytesRead < bytes.length) throw new Error('the archive of a result is truncated');
  return bytes;
}

/** FNV-1a in 32 bits. */
function hash(name: Buffer): number {
  let value = 0x811c9dc5;
  for (const byte of name) value = Math.imul(value ^ byte, 0x01000193);
  return value >>> 0;
}
