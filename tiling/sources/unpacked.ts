import type { Metadata } from 'sharp';
import { UnpackedTooLargeError } from '../errors.js';
import type { Size } from '../geometry.js';

/** Memory that a picture may take while it is unpacked, by default. */
const MAX_UNPACKED_BYTES = 2 ** 30;

/**
 * The memory that a picture takes while it is unpacked as a whole; null where its rows are streamed. The
 * coefficients of a progressive JPEG take two bytes each; other formats are in memory once, decoded.
 */
function unpackedSize({
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

/** @throws UnpackedTooLargeError for a picture that takes more than `maxBytes` bytes, by its header alone */
export function checkUnpacked(header: Metadata, maxBytes = MAX_UNPACKED_BYTES): void {
  const whole = unpackedSize(header);
  if (whole) checkBytes(whole.what, header, whole.bytes, maxBytes);
}

/** @throws UnpackedTooLargeError for more than `maxBytes` bytes */
export function checkBytes(what: string, size: Size, bytes: number, maxBytes = MAX_UNPACKED_BYTES): void {
  if (bytes > maxBytes) throw new UnpackedTooLargeError(what, size, bytes, maxBytes);
}
