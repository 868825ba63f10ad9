import { open } from 'node:fs/promises';
import { UnsupportedImageError } from '../errors.js';
import type { ImageSource } from '../source.js';
import { openBitmap } from './bitmap.js';
import type { OpenOptions } from './options.js';
import { openTiff } from './tiff.js';

const latin1 = (bytes: Buffer, from: number, to: number): string => bytes.toString('latin1', from, to);

/** What the first bytes say; the file's name is never asked. */
const KINDS: readonly [name: string, matches: (head: Buffer) => boolean, opens: typeof openBitmap][] = [
  ['TIFF', (h) => ['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].includes(latin1(h, 0, 4)), openTiff],
  ['PNG', (h) => latin1(h, 1, 8) === 'PNG\r\n\x1a\n', openBitmap],
  ['JPEG', (h) => latin1(h, 0, 3) === '\xff\xd8\xff', openBitmap],
  ['WebP', (h) => latin1(h, 0, 4) === 'RIFF' && latin1(h, 8, 12) === 'WEBP', openBitmap],
  ['GIF', (h) => /^GIF8[79]a/.test(latin1(h, 0, 6)), openBitmap],
  ['AVIF', (h) => latin1(h, 4, 12) === 'ftypavif', openBitmap],
];

/**
 * Opens an image file.
 *
 * @throws UnsupportedImageError for bytes that are none of the kinds read here
 * @throws CorruptImageError for a header that cannot be right
 * @throws ImageTooLargeError for more than `maxPixels`
 */
export async function openImage(path: string, options: OpenOptions): Promise<ImageSource> {
  const file = await open(path);
  const head = Buffer.alloc(16);
  const { bytesRead } = await file.read(head, 0, head.length, 0).finally(() => file.close());
  if (bytesRead === 0) throw new UnsupportedImageError('the image is empty: 0 bytes');
  const kind = KINDS.find(([, matches]) => matches(head));
  if (!kind) {
    const known = KINDS.map(([name]) => name).join(', ');
    throw new UnsupportedImageError(`these bytes are no image that is read here (${known})`);
  }
  return kind[2](path, options);
}
