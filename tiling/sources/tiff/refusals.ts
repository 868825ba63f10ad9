import { UnsupportedImageError } from '../../errors.js';
import type { Size } from '../../geometry.js';
import type { OpenOptions } from '../options.js';
import { checkBytes } from '../unpacked.js';
import { chunkBytes, type Packing } from './values.js';

/** Thrown for a TIFF that libvips reads and this reader does not: `openTiff` then opens it as a bitmap. */
export class NeedsLibvips extends Error {}

/** Thrown for a slide in a scanner's own kind of TIFF, which OpenSlide reads; the message names it. */
export class NeedsOpenSlide extends UnsupportedImageError {}

/**
 * The error that passes an image on to libvips, which decodes its chunks as a whole.
 * @throws UnpackedTooLargeError where a chunk takes more memory than it may
 */
export function needsLibvips(
  size: Size,
  chunk: Size,
  packing: Packing,
  { maxUnpackedBytes }: OpenOptions,
): NeedsLibvips {
  const isWhole = chunk.width >= size.width && chunk.height >= size.height;
  const what = isWhole ? 'a TIFF in one piece' : 'a TIFF in very large pieces';
  checkBytes(what, size, chunkBytes(chunk, packing), maxUnpackedBytes);
  return new NeedsLibvips();
}

/**
 * The error for a kind of TIFF that nothing here reads.
 * @param what it has, such as "predictor 4"
 * @param remedy what to store instead
 */
export function unsupported(what: string, remedy?: string): UnsupportedImageError {
  return new UnsupportedImageError(`TIFFs with ${what} are not supported${remedy ? `: ${remedy}` : ''}`);
}
