import { runs, type Size } from '../tiling/geometry.js';
import { COLUMN_BLOCK_PX } from '../tiling/plan.js';
import { type SampleKind, writeSample } from '../tiling/samples/sample.js';
import { TiffSink } from '../tiling/sinks/tiff/tiff.js';
import type { PixelSize } from '../tiling/source.js';

/** Writes a synthetic grayscale slide as a pyramidal TIFF; always the same pixels for a kind, size and seed. */
export async function writeSlide(
  path: string,
  kind: SampleKind,
  size: Size,
  mpp: PixelSize | null = null,
  seed = 1,
): Promise<void> {
  const format = { channels: 1, dtype: 'uint8', mpp, overviews: 'mean' } as const;
  await writeSample(kind, size, seed, { image: await TiffSink.create(path, size, format) });
}

/** Writes a grayscale slide of one value as a pyramidal TIFF. */
export async function writeFlatSlide(path: string, size: Size, value: number): Promise<void> {
  const format = { channels: 1, dtype: 'uint8', mpp: null, overviews: 'mean' } as const;
  const sink = await TiffSink.create(path, size, format);
  for (const { start, stop } of runs({ start: 0, stop: size.width }, COLUMN_BLOCK_PX)) {
    for (const y of runs({ start: 0, stop: size.height }, FLAT_BAND_PX)) {
      const rect = { x: start, width: stop - start, y: y.start, height: y.stop - y.start };
      await sink.writeBand(rect, new Uint8Array(rect.width * rect.height).fill(value), 0);
    }
  }
  await sink.finish();
}

const FLAT_BAND_PX = 512;
