import type { Size } from '../../tiling/geometry.js';
import type { ImageSource } from '../../tiling/source.js';

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
