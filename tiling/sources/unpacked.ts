import type { Metadata } from 'sharp';
import { UnpackedTooLargeError } from '../errors.js';
import type { Size } from '../geometry.js';

/** What a picture may take of memory while it is unpacked, where nobody says another figure. */
export const MAX_UNPACKED_BYTES = 2 ** 30;

/**
 * What a picture takes of memory while it is unpacked, if its format has no rows to be streamed; null where
 * it has. A progressive JPEG's coefficients take two bytes each; what the others decode to, once.
 */
function unpackedWhole({
  format,
  isProgressive,
  width,
  height,
  channels,
  depth,
}: Metadata): { readonly what: string; readonly bytes: number } | null {
  const pixels = width * height * channels;
  const sample = depth === 'uchar' ? 1 : 2;
  switch (format) {
    case 'png':
      return isProgressive ? { what: 'an interlaced PNG', bytes: pixels * sample } : null;
    case 'jpeg':
      return isProgressive ? { what: 'a progressive JPEG', bytes: 2 * pixels } : null;
    case 'webp':
      return { what: 'a WebP', bytes: pixels };
    case 'gif':
      return { what: 'a GIF', bytes: 4 * width * height };
    case 'heif':
      return { what: 'an AVIF', bytes: 2 * pixels * sample };
    default:
      return null;
  }
}

/** @throws UnpackedTooLargeError, from the header alone */
export function checkUnpacked(header: Metadata, most = MAX_UNPACKED_BYTES): void {
  const whole = unpackedWhole(header);
  if (whole) checkBytes(whole.what, header, whole.bytes, most);
}

/** @throws UnpackedTooLargeError for what takes more memory than it may */
export function checkBytes(what: string, size: Size, bytes: number, most = MAX_UNPACKED_BYTES): void {
  if (bytes > most) throw new UnpackedTooLargeError(what, size, bytes, most);
}
