/** Decoded chunks kept for the neighbours that share them, over all levels and channels of an image. */
const CACHE_BYTES = 96 << 20;

/** The most recently used decoded chunks, within a bound of bytes. */
export class ChunkCache<Chunk> {
  readonly #chunks = new Map<string, { chunk: Promise<Chunk>; bytes: number }>();
  #bytes = 0;

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
    chunk.catch(() => this.#drop(key));
    for (const oldest of this.#chunks.keys()) {
      if (this.#bytes <= CACHE_BYTES) break;
      if (oldest !== key) this.#drop(oldest);
    }
    return chunk;
  }

  #drop(key: string): void {
    this.#bytes -= this.#chunks.get(key)?.bytes ?? 0;
    this.#chunks.delete(key);
  }
}
