import type { FileHandle } from 'node:fs/promises';
import { type ArchiveFiles, readArchiveFiles } from './archive-files.js';
import { MAX_DIRECTORY_BYTES } from './records.js';

/** What the directories in memory take together: two of the largest, with their tables. */
const LIMIT_BYTES = 3 * MAX_DIRECTORY_BYTES;
/** What an entry takes beside its files: of small archives, most of it. */
const ENTRY_BYTES = 1024;

/**
 * The most recently used archives' lists of files: viewers request thousands of files of one archive, whose list may be of
 * hundreds of thousands. A file that was replaced is read anew.
 */
export class ArchiveCache {
  readonly #known = new Map<string, { readonly files: Promise<ArchiveFiles>; bytes: number }>();
  #bytes = 0;
  /** The latest read: one at a time, so that no more than one list is in memory beside those that are held. */
  #reading: Promise<unknown> = Promise.resolve();

  constructor(private readonly limitBytes = LIMIT_BYTES) {}

  /** What is held, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The files of an open archive. Concurrent calls read them once; failures are not cached.
   * @throws Error for a damaged archive
   */
  async filesOf(path: string, archive: FileHandle): Promise<ArchiveFiles> {
    const { ino, mtimeMs, size } = await archive.stat();
    const key = `${path}\n${ino} ${mtimeMs} ${size}`;
    const known = this.#known.get(key);
    if (known) {
      this.#known.delete(key);
      this.#known.set(key, known);
      return known.files;
    }
    const entry = { files: this.#reading.then(() => readArchiveFiles(archive)), bytes: 0 };
    this.#reading = entry.files.catch(() => undefined);
    this.#known.set(key, entry);
    try {
      const files = await entry.files;
      entry.bytes = files.bytes + ENTRY_BYTES;
      this.#bytes += entry.bytes;
      this.#evict();
      return files;
    } catch (error) {
      this.#known.delete(key);
      throw error;
    }
  }

  #evict(): void {
    for (const [key, { bytes }] of this.#known) {
      if (this.#bytes <= this.limitBytes) break;
      if (bytes === 0) continue; // it is being read
      this.#known.delete(key);
      this.#bytes -= bytes;
    }
  }
}
