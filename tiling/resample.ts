import type { Rect, Size } from './geometry.js';
import { pixelArray, type Raster } from './raster.js';
import type { ImageFacts, ImageSource, PixelReader } from './source.js';

/** The pixels that a resampled one is made from, and the weight of each. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

/** The facts of an image in another size: the same, but for the size of its pixels. */
export function factsAtSize({ facts, size }: Pick<ImageSource, 'facts' | 'size'>, other: Size): ImageFacts {
  const stretch = { x: size.width / other.width, y: size.height / other.height };
  return { ...facts, mpp: facts.mpp && { x: facts.mpp.x * stretch.x, y: facts.mpp.y * stretch.y } };
}

/**
 * Resamples an image to another size with a triangle filter as wide as the larger of both pixels: linear
 * interpolation when it grows, antialiasing when it shrinks. Each pixel depends on its position alone, not on the
 * region that is read, so that tiles agree with the whole.
 *
 * @param reader the level of the image that is read
 */
export function resampleLinear(source: ImageSource, reader: PixelReader, size: Size): ImageSource {
  const scale = { x: reader.size.width / size.width, y: reader.size.height / size.height };
  return {
    size,
    facts: factsAtSize(source, size),
    overviews: [],
    async readRegion(rect, signal) {
      const across = taps(rect.x, rect.width, scale.x, reader.size.width);
      const down = taps(rect.y, rect.height, scale.y, reader.size.height);
      const read = boundsOf(across, down);
      const region = await reader.readRegion(read, signal);
      return filter(region, read, across, down, rect);
    },
    close: () => source.close(),
  };
}

/** Resamples a mask to another size: each pixel is the one under its centre, so that no label is invented. */
export function resampleNearest(mask: ImageSource, size: Size): ImageSource {
  const place = (i: number, of: number, to: number) => Math.min(of - 1, Math.floor(((i + 0.5) * of) / to));
  const { channels, dtype } = mask.facts;
  return {
    size,
    facts: factsAtSize(mask, size),
    overviews: [],
    async readRegion(rect, signal) {
      const { width, height } = mask.size;
      const xs = Array.from({ length: rect.width }, (_, i) => place(rect.x + i, width, size.width));
      const ys = Array.from({ length: rect.height }, (_, i) => place(rect.y + i, height, size.height));
      const [x, y] = [xs[0]!, ys[0]!];
      const region = await mask.readRegion(
        { x, y, width: xs.at(-1)! - x + 1, height: ys.at(-1)! - y + 1 },
        signal,
      );
      const data = pixelArray(dtype, rect.width * rect.height * channels);
      for (let row = 0; row < rect.height; row++) {
        const from = (ys[row]! - y) * region.width;
        const to = row * rect.width;
        for (let i = 0; i < rect.width; i++) {
          for (let c = 0; c < channels; c++) {
            data[(to + i) * channels + c] = region.data[(from + xs[i]! - x) * channels + c]!;
          }
        }
      }
      return { data, width: rect.width, height: rect.height, channels };
    },
    close: () => mask.close(),
  };
}

/** The pixels under each of `count` pixels of another size, from `start` on; those outside the image have no weight. */
function taps(start: number, count: number, scale: number, length: number): Taps[] {
  const reach = Math.max(1, scale);
  return Array.from({ length: count }, (_, i) => {
    const centre = (start + i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - reach));
    const last = Math.min(length - 1, Math.ceil(centre + reach) - 1);
    const weights = new Float64Array(Math.max(1, last - first + 1));
    let sum = 0;
    for (let k = 0; k < weights.length; k++) {
      weights[k] = Math.max(0, 1 - Math.abs(first + k + 0.5 - centre) / reach);
      sum += weights[k]!;
    }
    for (let k = 0; k < weights.length; k++) weights[k]! /= sum;
    return { first, weights };
  });
}

/** The rectangle of all the pixels that taps refer to. */
function boundsOf(across: readonly Taps[], down: readonly Taps[]): Rect {
  const span = (taps: readonly Taps[]) => {
    const last = taps.at(-1)!;
    return [taps[0]!.first, last.first + last.weights.length - taps[0]!.first] as const;
  };
  const [[x, width], [y, height]] = [span(across), span(down)];
  return { x, y, width, height };
}

/** Filters rows, then columns; each sum adds its pixels in the same order, whatever the region. */
function filter(
  { data, channels, width }: Raster,
  read: Rect,
  across: readonly Taps[],
  down: readonly Taps[],
  rect: Rect,
): Raster {
  const rows = new Float64Array(read.height * rect.width * channels);
  for (let y = 0; y < read.height; y++) {
    for (const [i, { first, weights }] of across.entries()) {
      const from = (y * width + first - read.x) * channels;
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k]! * data[from + k * channels + c]!;
        rows[(y * rect.width + i) * channels + c] = sum;
      }
    }
  }
  const length = rect.width * channels;
  const out = new (data.constructor as typeof Float32Array)(rect.height * length);
  const isInteger = !(data instanceof Float32Array);
  for (const [j, { first, weights }] of down.entries()) {
    const from = (first - read.y) * length;
    for (let i = 0; i < length; i++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * rows[from + k * length + i]!;
      out[j * length + i] = isInteger ? Math.round(sum) : sum;
    }
  }
  return { data: out, width: rect.width, height: rect.height, channels };
}
