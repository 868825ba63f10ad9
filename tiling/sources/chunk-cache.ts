/** Of all levels and channels of an image: neighbouring tiles share chunks. */
const CACHE_BYTES = 96 << 20;

/** The most recently used decoded chunks, up to a number of bytes. */
export class ChunkCache<Chunk> {
  readonly #chunks = new Map<string, { chunk: Promise<Chunk>; bytes: number }>();
  #bytes = 0;

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
      if (this.#bytes <= CACHE_BYTES) break;
      if (oldest !== key) this.#evict(oldest);
    }
    return chunk;
  }

  #evict(key: string): void {
    this.#bytes -= this.#chunks.get(key)?.bytes ?? 0;
    this.#chunks.delete(key);
  }
}
