import type { Rect } from './geometry.js';

/** One byte a pixel (labels), or `channels` floats a pixel (probabilities), interleaved. */
export type MaskArray = Uint8Array | Float32Array;

/**
 * Takes a mask in bands, in the order of a plan: column block by column block, each from the top.
 * Bands of one block follow each other without a gap.
 */
export interface MaskSink {
  /** `rect` in image px; `data.length = rect.width · rect.height · channels`. */
  writeBand(rect: Rect, data: MaskArray): Promise<void>;
  /** Completes the result. Until it has, nothing is visible under the result's name. */
  finish(): Promise<void>;
  /** Removes what was written. */
  abort(): Promise<void>;
}
