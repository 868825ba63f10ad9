import { runs, type Size } from './geometry.js';
import type { Raster } from './raster.js';
import { pixelArray } from './raster.js';
import type { ImageSource, PixelReader } from './source.js';

/** What is read at a time, in px. */
const PIECE = { width: 4096, height: 512 };

/**
 * Makes a small version of an image that fits into `side` × `side` px: means of squares of its smallest level that
 * is large enough. `scale` is how many px of the image one px of the result is wide.
 */
export async function shrink(
  source: ImageSource,
  side: number,
  signal?: AbortSignal,
): Promise<{ readonly raster: Raster; readonly scale: number }> {
  const longest = ({ size }: PixelReader) => Math.max(size.width, size.height);
  const reader = [...source.overviews].reverse().find((level) => longest(level) >= side) ?? source;
  const step = Math.max(1, Math.ceil(longest(reader) / side));
  const { width, height } = reader.size;
  const small: Size = { width: Math.ceil(width / step), height: Math.ceil(height / step) };
  const { channels, dtype } = source.facts;
  const sums = new Float64Array(small.width * small.height * channels);
  for (const y of runs({ start: 0, stop: height }, alignedTo(step, PIECE.height))) {
    for (const x of runs({ start: 0, stop: width }, alignedTo(step, PIECE.width))) {
      signal?.throwIfAborted();
      const rect = { x: x.start, y: y.start, width: x.stop - x.start, height: y.stop - y.start };
      const { data } = await reader.readRegion(rect, signal);
      for (let row = 0; row < rect.height; row++) {
        const to = Math.floor((rect.y + row) / step) * small.width;
        for (let column = 0; column < rect.width; column++) {
          const at = (to + Math.floor((rect.x + column) / step)) * channels;
          const from = (row * rect.width + column) * channels;
          for (let c = 0; c < channels; c++) sums[at + c]! += data[from + c]!;
        }
      }
    }
  }
  const data = pixelArray(dtype, sums.length);
  for (let i = 0; i < sums.length; i++) {
    const pixel = Math.floor(i / channels);
    const [x, y] = [pixel % small.width, Math.floor(pixel / small.width)];
    const pixels = Math.min(step, width - x * step) * Math.min(step, height - y * step);
    data[i] = dtype === 'float32' ? sums[i]! / pixels : Math.round(sums[i]! / pixels);
  }
  return { raster: { ...small, data, channels }, scale: (step * source.size.width) / width };
}

const alignedTo = (step: number, length: number): number => Math.max(step, Math.floor(length / step) * step);
