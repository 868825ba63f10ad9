import type { PixelSize } from '../source.js';

const INCH_MICRONS = 25_400;
/**
 * Pixels larger than this are those of a screen or a printer: 72, 96, 300 and 600 dpi are 353, 265, 85 and
 * 42 µm. A microscope's are smaller; where they are not, its own metadata say so, or the user does.
 */
const MAX_MICRONS = 25;

/**
 * A pixel size of a resolution tag, which every program writes, whether it knows it or not.
 * @param given what the user says it is
 */
export function resolutionSize(
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
      `the file's resolution of ${dpi} dpi (${microns} µm a pixel) is a screen's or a printer's and is not believed: "mpp" gives the pixel size`,
    ],
  };
}
