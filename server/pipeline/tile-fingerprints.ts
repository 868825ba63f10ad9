/** Bytes of a tile that its fingerprint is made of. */
const SAMPLES = 512;
/** Names in each of two generations: about as many as a slide of 3 Gpx has tiles. */
const GENERATION = 8192;

/**
 * A 32-bit hash (FNV-1a) of evenly spaced bytes of a tile's pixels: the same for equal tiles, and rarely for others. It
 * takes microseconds, whatever their number. (`fingerprint.ts` has the fingerprint of a job.)
 */
export function tileFingerprint(bytes: Uint8Array): number {
  // Odd, so that neither the columns of a tile nor the bytes of its values are in step with it.
  const step = Math.floor(bytes.length / SAMPLES) | 1;
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i += step) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash >>> 0;
}

/** The names that were added most recently: a bounded set that forgets the oldest, a generation at a time. */
export class RecentNames {
  #newer = new Set<string>();
  #older = new Set<string>();

  /** Adds a name; true if it was there. */
  add(name: string): boolean {
    const isKnown = this.#newer.has(name) || this.#older.has(name);
    if (this.#newer.size >= GENERATION) {
      this.#older = this.#newer;
      this.#newer = new Set();
    }
    this.#newer.add(name);
    return isKnown;
  }
}
