/** Crops of one size with their labels and weights. */
export interface TrainingBatch {
  /** `[count, side, side, channels]` in [0, 1]. */
  readonly pixels: Float32Array;
  /** Class indices `[count, height, width]` of the network's output for crops of this size. */
  readonly labels: Uint8Array;
  /** Weights `[count, height, width]`; 0 where a pixel does not count. */
  readonly weights: Float32Array;
  readonly count: number;
  readonly side: number;
  readonly channels: number;
}
