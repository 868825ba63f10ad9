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
    const { size, channels, dtype, channelNames, storedType, range, mpp, notes } = image;
    return {
      ...{ size, channels, dtype, channelNames, storedType, range, mpp, notes },
      overviews: image.overviews.map((level) => ({ size: level.size })),
      unpacked: image.unpacked ?? false,
    };
  } finally {
    await image.close();
  }
}
