import type { Dtype, Raster } from '../../tiling/raster.js';
import { pixelArray } from '../../tiling/raster.js';
import { hash } from '../../tiling/samples/random.js';

/** Pixels that differ everywhere: smooth enough for JPEG, and rough enough to reveal any shift. */
export function pattern(width: number, height: number, channels = 1, dtype: Dtype = 'uint8'): Raster {
  const data = pixelArray(dtype, width * height * channels);
  const top = dtype === 'uint8' ? 255 : 65535;
  for (let i = 0; i < data.length; i++) {
    const [x, y] = [Math.floor(i / channels) % width, Math.floor(i / channels / width)];
    const wave = 0.5 + 0.3 * Math.sin(x / 7 + (i % channels)) * Math.cos(y / 5);
    data[i] = Math.floor((wave + (hash(x, y, i % channels) / 2 ** 32) * 0.2) * top);
  }
  return { data, width, height, channels };
}

/** The first index at which two arrays differ, or -1: fast for millions of values. */
export function firstDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const length = Math.max(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return -1;
}

/** The same margin on all four sides. */
export const even = (px: number) => ({ top: px, left: px, bottom: px, right: px });
