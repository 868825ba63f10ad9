import { COLUMN_BLOCK_PX } from '../plan.js';

/** What is kept: in any case, and at most. */
const LIMIT_BYTES = { min: 32 << 20, max: 96 << 20 } as const;

/**
 * The most recently used decoded chunks of an image, of all its levels and channels: neighbouring tiles share chunks.
 * As tiles are read row by row in a column block, it keeps a row of them until the next one is read.
 */
export class ChunkCache<Chunk> {
  readonly #chunks = new Map<string, { chunk: Promise<Chunk>; bytes: number }>();
  #bytes = 0;
  #limit: number = LIMIT_BYTES.min;

  /**
   * Makes room for regions like this one, all across a column block, before they are read.
   * @param bytes of all of its chunks, decoded
   * @param width of the region, and `imageWidth` of the image, in px
   */
  makeRoom(bytes: number, width: number, imageWidth: number): void {
    const row = bytes * Math.max(1, Math.min(imageWidth, COLUMN_BLOCK_PX) / width);
    this.#limit = Math.min(LIMIT_BYTES.max, Math.max(this.#limit, row));
  }

  /**
   * Returns a chunk, decoding it unless it is cached or being decoded. Failures are not cached.
   * @param bytes of the decoded chunk
   */
  get(key: string, bytes: number, decode: () => Promise<Chunk>): Promise<Chunk> {
    const known = this.#chunks.get(key);
    if (known) {
      this.#chunks.delete(key);
      this.#chunks.set(key, known);
      return known.chunk;
    }
    const chunk = decode();
    this.#chunks.set(key, { chunk, bytes });
    this.#bytes += bytes;
    chunk.catch(() => this.#evict(key));
    for (const oldest of this.#chunks.keys()) {
      if (this.#bytes <= this.#limit) break;
      if (oldest !== key) this.#evict(oldest);
    }
    return chunk;
  }

  #evict(key: string): void {
    this.#bytes -= this.#chunks.get(key)?.bytes ?? 0;
    this.#chunks.delete(key);
  }
}
