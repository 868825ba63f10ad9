import type { Size } from '../tiling/geometry.js';
import { type SampleKind, writeSample } from '../tiling/samples/sample.js';
import { TiffSink } from '../tiling/sinks/tiff/tiff.js';
import type { PixelSize } from '../tiling/source.js';

/** Writes a synthetic grayscale slide as a pyramidal TIFF; always the same pixels for a kind and size. */
export async function writeSlide(
  path: string,
  kind: SampleKind,
  size: Size,
  mpp: PixelSize | null = null,
): Promise<void> {
  const format = { channels: 1, dtype: 'uint8', mpp, overviews: 'mean' } as const;
  await writeSample(kind, size, 1, { image: await TiffSink.create(path, size, format) });
}
