import type { Size } from '../../tiling/geometry.js';
import type { ImageSource } from '../../tiling/source.js';
import { openImage } from '../../tiling/sources/open.js';
import type { OpenOptions } from '../../tiling/sources/options.js';

/** What an image says of itself before any of its pixels is read: data that can cross to another process. */
export interface ImageHeader
  extends Pick<
    ImageSource,
    'size' | 'channels' | 'dtype' | 'channelNames' | 'storedType' | 'range' | 'mpp' | 'notes'
  > {
  /** Sizes of its smaller levels, the largest first. */
  readonly overviews: readonly { readonly size: Size }[];
  /** Whether it has no random access, and is unpacked into a file to be read. */
  readonly unpacked: boolean;
}

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
