import type { Rect } from './geometry.js';

/** One byte per pixel (labels), or `channels` floats per pixel (probabilities), interleaved. */
export type MaskArray = Uint8Array | Float32Array;

/**
 * Where a mask goes: the seam between the pipeline and every kind of result. `openResults` makes the sinks of a
 * job; a new one implements this, and is one more line in the contract suite of the tests.
 *
 * Calls come one at a time, each after the one before has settled: `writeBand` for every band, then `finish`;
 * or, once anything has failed or was cancelled, `abort`. A result file depends on the pixels alone: the same mask
 * in other bands makes the same bytes.
 */
export interface MaskSink {
  /**
   * Takes the next band. Called by the `Stitcher` and the journal's replay, in the order of a plan: column block
   * by column block, each from the top, without gaps; together bands cover the image once. Of a stack, they cover one
   * plane after the other: a plane is complete when a band of the next one comes, or `finish`.
   *
   * The promise resolves when the sink can take another band: this is what holds back the network while a disk
   * is slow. `data` is shared with other sinks: it must not be changed, nor used after the promise has settled.
   *
   * @param rect in image px
   * @param data `rect.width · rect.height · channels` values
   * @param plane of a stack: its place among those of the job, ascending from 0 without gaps, 0 for any other image.
   *   Sinks of one plane have no such parameter: a stack is refused before they are opened
   */
  writeBand(rect: Rect, data: MaskArray, plane: number): Promise<void>;
  /**
   * Completes the result. Called once, after the last band. Until it has resolved, nothing changes under the
   * result's name; then the complete result is there.
   */
  finish(): Promise<void>;
  /**
   * Discards the result. Called once, instead of `finish` or after it has failed, also when no band has come. It
   * closes files, and removes what was written but not finished.
   */
  abort(): Promise<void>;
}
