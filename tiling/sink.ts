import type { Rect } from './geometry.js';

/** One byte a pixel (labels), or `channels` floats a pixel (probabilities), interleaved. */
export type MaskArray = Uint8Array | Float32Array;

/**
 * Takes a mask in bands, in the order of a plan: column block by column block, each from the top.
 * Bands of one block follow each other without a gap. A new sink implements this, and is one more line in the
 * contract suite of the tests.
 */
export interface MaskSink {
  /**
   * Takes a band: `rect` in image px, `data.length = rect.width · rect.height · channels`. Once it has resolved,
   * `data` is the caller's again.
   */
  writeBand(rect: Rect, data: MaskArray): Promise<void>;
  /** Completes the result. Until it has, nothing changes under the result's name. */
  finish(): Promise<void>;
  /** Removes what was written: called instead of `finish`, or after it has failed. */
  abort(): Promise<void>;
}
