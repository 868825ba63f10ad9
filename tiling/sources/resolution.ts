import type { PixelSize } from '../source.js';

const INCH_MICRONS = 25_400;
/**
 * Larger pixels are those of a screen or a printer: 72, 96, 300 and 600 dpi are 353, 265, 85 and 42 µm. A
 * microscope's are smaller, unless its own metadata or the user say otherwise.
 */
const MAX_MICRONS = 25;

/**
 * The pixel size of a resolution tag, if it is believable: many programs write one without knowing it.
 * @param given the user's, which takes precedence
 */
export function believablePixelSize(
  mpp: PixelSize | null,
  given: PixelSize | undefined,
): {
  readonly mpp: PixelSize | null;
  readonly notes: readonly string[];
} {
  if (given) return { mpp: given, notes: [] };
  if (mpp === null || Math.max(mpp.x, mpp.y) <= MAX_MICRONS) return { mpp, notes: [] };
  const dpi = Math.round(INCH_MICRONS / mpp.x);
  const microns = Number(mpp.x.toPrecision(3));
  return {
    mpp: null,
    notes: [
      `the file's resolution of ${dpi} dpi (${microns} µm per pixel) is a screen's or a printer's, and is ignored: set mpp (--mpp) to the pixel size`,
    ],
  };
}
