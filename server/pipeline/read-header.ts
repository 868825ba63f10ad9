import { openImage } from '../../tiling/sources/open.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import type { ImageHeader } from '../contract/image-header.js';

/** Reads an image's header, of the picture that the options choose; nothing is unpacked. */
export async function readHeader(
  input: string,
  options: Omit<OpenOptions, 'headerOnly'>,
): Promise<ImageHeader> {
  const image = await openImage(input, { ...options, headerOnly: true });
  try {
    const { size, facts, overviews } = image;
    return { size, facts, overviews: overviews.map((level) => ({ size: level.size })) };
  } finally {
    await image.close();
  }
}
