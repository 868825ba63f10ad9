import { UnsupportedImageError } from './errors.js';
import type { Rect, Size } from './geometry.js';
import { shrink } from './shrink.js';
import { type ImageSource, withMembers } from './source.js';

/** Longest side of the small version in which tissue is found. */
const SIDE_PX = 2048;

/** Where an image has something to segment. */
export interface Tissue {
  /** Its share of the image, in [0, 1]. */
  readonly share: number;
  /** The saturation, in [0, 1], above which a pixel is tissue; null where the user gave a mask. */
  readonly threshold: number | null;
  /** Whether a rectangle, in px of the image, contains any tissue. */
  touches(rect: Rect): boolean;
}

/**
 * Finds stained tissue in a small version of a colour slide: pixels whose saturation (of HSV) is above Otsu's
 * threshold (IEEE Transactions on Systems, Man and Cybernetics 9, 1979), and their neighbours.
 *
 * @throws UnsupportedImageError for an image without colour
 */
export async function findTissue(source: ImageSource, signal?: AbortSignal): Promise<Tissue> {
  if (source.facts.channels !== 3 || source.facts.channelNames) {
    throw new UnsupportedImageError(
      'background is found by its lack of colour, and this image has none: give a mask of it',
    );
  }
  const { raster } = await shrink(source, SIDE_PX, signal);
  const { data, width, height } = raster;
  const saturation = Uint8Array.from({ length: width * height }, (_, i) => {
    const [r, g, b] = [data[3 * i]!, data[3 * i + 1]!, data[3 * i + 2]!];
    const most = Math.max(r, g, b);
    return most === 0 ? 0 : Math.round((255 * (most - Math.min(r, g, b))) / most);
  });
  const threshold = otsu(saturation);
  const tissue = saturation.map((value) => (value > threshold ? 1 : 0));
  return tissueOf(tissue, { width, height }, source.size, threshold / 255);
}

/**
 * Takes tissue to be where a mask is not black.
 * @param mask of the image's proportions, in any size
 */
export async function tissueFromMask(mask: ImageSource, image: Size, signal?: AbortSignal): Promise<Tissue> {
  const { raster } = await shrink(withMembers(mask, { overviews: [] }), SIDE_PX, signal);
  const { data, width, height, channels } = raster;
  const any = Uint8Array.from({ length: width * height }, (_, i) => {
    return data.subarray(i * channels, (i + 1) * channels).some((value) => value > 0) ? 1 : 0;
  });
  return tissueOf(any, { width, height }, image, null);
}

function tissueOf(tissue: Uint8Array, small: Size, image: Size, threshold: number | null): Tissue {
  const { width, height } = small;
  const scale = { x: width / image.width, y: height / image.height };
  const share = tissue.reduce((sum, value) => sum + value, 0) / tissue.length;
  return {
    share,
    threshold,
    touches(rect) {
      // Neighbours of tissue count as tissue: one pixel of the small version covers many of the image.
      const left = Math.max(0, Math.floor(rect.x * scale.x) - 1);
      const top = Math.max(0, Math.floor(rect.y * scale.y) - 1);
      const right = Math.min(width, Math.ceil((rect.x + rect.width) * scale.x) + 1);
      const bottom = Math.min(height, Math.ceil((rect.y + rect.height) * scale.y) + 1);
      for (let y = top; y < bottom; y++) {
        if (tissue.subarray(y * width + left, y * width + right).includes(1)) return true;
      }
      return false;
    },
  };
}

/** The threshold that splits values into two classes with the greatest variance between them. */
function otsu(values: Uint8Array): number {
  const counts = new Float64Array(256);
  for (const value of values) counts[value]!++;
  const total = values.length;
  const sum = counts.reduce((s, count, value) => s + count * value, 0);
  let [below, sumBelow, best, threshold] = [0, 0, -1, 0];
  for (let value = 0; value < 255; value++) {
    below += counts[value]!;
    sumBelow += counts[value]! * value;
    const above = total - below;
    if (below === 0 || above === 0) continue;
    const distance = sumBelow / below - (sum - sumBelow) / above;
    const between = below * above * distance * distance;
    if (between > best) [best, threshold] = [between, value];
  }
  return threshold;
}
