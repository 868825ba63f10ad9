import { rectOf, runs } from '../geometry.js';
import { notANumber } from '../intensities.js';
import { COLUMN_BLOCK_PX } from '../plan.js';
import { bytesOf, type Raster } from '../raster.js';
import type { ImageFacts, PixelReader } from '../source.js';

/** Rows of a block: those of a row of tiles in most files. */
const ROWS = 512;
/** Bytes of a block, about, and columns at least. */
const BLOCK_BYTES = 32 << 20;
const MIN_COLUMNS = 512;
/** Pixels whose values are counted channel by channel: so many stay in the processor's caches. */
const STRETCH_PX = 4096;

/** The image, or the level of it, whose values are counted. */
export interface CountedImage {
  readonly reader: PixelReader;
  readonly facts: Pick<ImageFacts, 'channels' | 'dtype'>;
  /** Rejects the count when it is aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each block with the px of this pass that were counted. */
  readonly onProgress?: ((pixelsDone: number) => void) | undefined;
}

/** Values of one channel in a block: every `stride`-th from `from` up to `to`. */
export type CountChannel = (channel: number, data: Raster['data'], from: number, to: number) => void;

/**
 * Passes over all values of an image, block by block, each channel by itself. What is counted must not depend on the
 * order of blocks, which follows from the width and the number of channels. Two blocks are in memory.
 * @throws CorruptImageError for NaN and infinite values, with their place
 */
export async function countValues(
  { reader, facts: { channels, dtype }, signal, onProgress }: CountedImage,
  count: CountChannel,
): Promise<void> {
  const blocks = blocksOf(reader.size, channels * bytesOf(dtype));
  const read = (index: number) => {
    const rect = blocks[index];
    if (!rect) return null;
    const region = reader.readRegion(rect, signal);
    region.catch(() => undefined); // awaited below
    return region;
  };
  let next = read(0);
  let pixelsDone = 0;
  for (const [i, rect] of blocks.entries()) {
    signal?.throwIfAborted();
    const { data } = await next!;
    next = read(i + 1);
    if (data instanceof Float32Array) {
      for (let at = 0; at < data.length; at++) {
        // 0 times any other value is 0
        if (data[at]! * 0 !== 0) throw notANumber(data[at]!, at, rect, channels);
      }
    }
    for (let from = 0; from < data.length; from += STRETCH_PX * channels) {
      const to = Math.min(data.length, from + STRETCH_PX * channels);
      for (let c = 0; c < channels; c++) count(c, data, from + c, to);
    }
    pixelsDone += rect.width * rect.height;
    onProgress?.(pixelsDone);
  }
}

/** Blocks of an image, row by row. */
function blocksOf({ width, height }: PixelReader['size'], pixelBytes: number) {
  const fitting = Math.floor(BLOCK_BYTES / (ROWS * pixelBytes * MIN_COLUMNS)) * MIN_COLUMNS;
  const columns = Math.min(COLUMN_BLOCK_PX, Math.max(MIN_COLUMNS, fitting));
  return [...runs({ start: 0, stop: height }, ROWS)].flatMap((y) =>
    [...runs({ start: 0, stop: width }, columns)].map((x) => rectOf(x, y)),
  );
}
