import type { Margins } from '../network/geometry.js';
import { type Pixels, rangeOf } from '../network/pixels.js';
import type { Augmentation } from './augment.js';
import { jitterIntensities } from './intensity-jitter.js';
import type { Random } from './random.js';
import type { CropRect, Warp } from './warp.js';
import { type BorderWeights, borderWeights, numberedCells, weightsBetween } from './weight-map.js';

/** All that a crop is sampled from, over one rectangle that contains every position of its warp. */
export interface CropInput {
  readonly bounds: CropRect;
  /** Intensities as stored, `bounds.width · bounds.height · channels`, interleaved. */
  readonly pixels: Pixels;
  readonly channels: number;
  /** Class indices; an index that is no class marks a pixel that does not count. */
  readonly classes: Uint8Array;
  /** The border term of the weight map of the whole image; null without one. */
  readonly borderTerm: ArrayLike<number> | null;
  /** The number of each pixel's cell, 0 for none; null where cells are connected regions. */
  readonly cells: ArrayLike<number> | null;
}

export interface CropOptions {
  /** The margin without labels on each side of the crop, in px. */
  readonly halo: Margins;
  readonly augmentation: Augmentation;
  /** Whether channels are pictures in their own right, and no colours. Default false. */
  readonly isSeparate?: boolean;
  /** One weight for each class. */
  readonly classWeights: readonly number[];
  /** Computes the border term on the deformed crop; null to use `borderTerm`, or none. */
  readonly liveBorder: BorderWeights | null;
}

/** One crop of a `TrainingBatch`, as views into its arrays. */
export interface Crop {
  /** `[side, side, channels]` in [0, 1]. */
  readonly pixels: Float32Array;
  /** Class indices `[height, width]` of the crop without its halo; 0 where a pixel does not count. */
  readonly labels: Uint8Array;
  /** As many weights; 0 where a pixel does not count. */
  readonly weights: Float32Array;
}

/** Deforms and augments what was read for a crop, and writes it into `crop`. */
export function fillCrop(
  crop: Crop,
  input: CropInput,
  warp: Warp,
  options: CropOptions,
  random: Random,
): void {
  samplePixels(crop.pixels, input, warp);
  jitterIntensities(crop.pixels, options.augmentation, random, options.isSeparate ? input.channels : 1);
  const cells = sampleLabels(crop, input, warp, options);
  if (options.liveBorder !== null) addLiveBorder(crop, cells, warp.side, options.halo, options.liveBorder);
}

/** Samples intensities, scaled to [0, 1]: bilinearly, unless the warp is exact. */
function samplePixels(
  target: Float32Array,
  { pixels, channels, bounds }: CropInput,
  { x, y, exact }: Warp,
): void {
  const { width, height } = bounds;
  const scale = 1 / rangeOf(pixels);
  for (let at = 0; at < x.length; at++) {
    const u = x[at]! - bounds.x;
    const v = y[at]! - bounds.y;
    const column = u | 0; // truncated: neither is negative, and an index that is an integer takes half the time
    const row = v | 0;
    const from = (row * width + column) * channels;
    if (exact) {
      for (let c = 0; c < channels; c++) target[at * channels + c] = pixels[from + c]! * scale;
      continue;
    }
    const fx = u - column;
    const fy = v - row;
    const right = column + 1 < width ? channels : 0;
    const down = row + 1 < height ? width * channels : 0;
    for (let c = 0; c < channels; c++) {
      const i = from + c;
      const upper = pixels[i]! + fx * (pixels[i + right]! - pixels[i]!);
      const lower = pixels[i + down]! + fx * (pixels[i + down + right]! - pixels[i + down]!);
      target[at * channels + c] = (upper + fy * (lower - upper)) * scale;
    }
  }
}

/** Samples labels and weights from the nearest pixel, inside the halo; returns the cells sampled alike. */
function sampleLabels(
  { labels, weights }: Crop,
  { classes, borderTerm, cells, bounds }: CropInput,
  warp: Warp,
  { halo, classWeights }: CropOptions,
): Float64Array | null {
  const { side } = warp;
  const sampled = cells && new Float64Array(labels.length);
  for (let v = halo.top, at = 0; v < side - halo.bottom; v++) {
    for (let u = halo.left; u < side - halo.right; u++, at++) {
      const column = (Math.round(warp.x[v * side + u]!) - bounds.x) | 0;
      const row = (Math.round(warp.y[v * side + u]!) - bounds.y) | 0;
      const from = row * bounds.width + column;
      const label = classes[from]!;
      const weight = classWeights[label];
      const counts = weight !== undefined;
      labels[at] = counts ? label : 0;
      weights[at] = counts ? weight : 0;
      if (counts && borderTerm) weights[at]! += borderTerm[from]!;
      if (sampled) sampled[at] = cells![from]!;
    }
  }
  return sampled;
}

function addLiveBorder(
  { labels, weights }: Crop,
  cells: Float64Array | null,
  side: number,
  halo: Margins,
  border: BorderWeights,
): void {
  const [width, height] = [side - halo.left - halo.right, side - halo.top - halo.bottom];
  const term = cells
    ? weightsBetween(numberedCells(cells), width, height, border)
    : borderWeights(labels, width, height, border);
  for (let at = 0; at < term.length; at++) if (weights[at]! > 0) weights[at]! += term[at]!;
}
