import type { Size } from '../../tiling/geometry.js';
import type { ImageSource } from '../../tiling/source.js';
import { openImage } from '../../tiling/sources/open.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import { findTissue, type Tissue, tissueFromMask } from '../../tiling/tissue.js';
import type { SegmentJob } from './segment-job.js';

/**
 * Finds where a job's image has tissue, as its request says: by its colour, or by a mask in a file. Null where all of
 * it is segmented.
 * @param size of the image as it is segmented: `Tissue.touches` takes rectangles in its px
 */
export async function tissueFor(
  { background, scratchDir, signal, watch }: SegmentJob,
  image: ImageSource,
  size: Size,
  limits: Pick<OpenOptions, 'maxPixels' | 'maxUnpackedBytes'>,
): Promise<Tissue | null> {
  if (background === null) return null;
  if (background === 'auto') return inPixelsOf(await findTissue(image, signal), image.size, size);
  const opening = openImage(background.mask, { ...limits, scratchDir, values: 'stored', signal });
  const mask = await (watch?.(opening) ?? opening);
  try {
    return await tissueFromMask(mask, size, signal);
  } finally {
    await mask.close();
  }
}

/** Tissue that was found in an image of one size, for rectangles in px of another. */
function inPixelsOf(tissue: Tissue, found: Size, size: Size): Tissue {
  const ratio = { x: found.width / size.width, y: found.height / size.height };
  return {
    ...tissue,
    touches: ({ x, y, width, height }) =>
      tissue.touches({ x: x * ratio.x, y: y * ratio.y, width: width * ratio.x, height: height * ratio.y }),
  };
}
