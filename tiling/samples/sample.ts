import type { Size } from '../geometry.js';
import { runs } from '../geometry.js';
import { COLUMN_BLOCK_PX } from '../plan.js';
import type { MaskSink } from '../sink.js';
import { MEMBRANE_CLASSES, paintMembranes } from './membranes.js';
import { SHAPE_CLASSES, shapesPainter } from './shapes.js';

/** Synthetic micrographs: gray, 8 bits, of any size. */
export const SAMPLE_KINDS = {
  shapes: { paint: shapesPainter(64, 22), classes: SHAPE_CLASSES },
  /** Small enough for a picture of 32 px to contain one, and with little noise. */
  'small-shapes': { paint: shapesPainter(32, 6), classes: SHAPE_CLASSES },
  membranes: { paint: paintMembranes, classes: MEMBRANE_CLASSES },
} as const;
export type SampleKind = keyof typeof SAMPLE_KINDS;

const BAND_PX = 256;

/** Paints a picture and its labels band by band, in the order that sinks require. */
export async function writeSample(
  kind: SampleKind,
  size: Size,
  seed: number,
  sinks: { readonly image?: MaskSink; readonly labels?: MaskSink },
  signal?: AbortSignal,
): Promise<void> {
  const { paint } = SAMPLE_KINDS[kind];
  for (const { start, stop } of runs({ start: 0, stop: size.width }, COLUMN_BLOCK_PX)) {
    for (const y of runs({ start: 0, stop: size.height }, BAND_PX)) {
      signal?.throwIfAborted();
      const rect = { x: start, width: stop - start, y: y.start, height: y.stop - y.start };
      const image = new Uint8Array(rect.width * rect.height);
      const labels = new Uint8Array(rect.width * rect.height);
      paint(rect, seed, image, labels);
      await sinks.image?.writeBand(rect, image, 0);
      await sinks.labels?.writeBand(rect, labels, 0);
    }
  }
  await sinks.image?.finish();
  await sinks.labels?.finish();
}
