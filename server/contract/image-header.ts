import type { Size } from '../../tiling/geometry.js';
import type { ImageFacts } from '../../tiling/source.js';

/** What an image says of itself before any of its pixels is read: data that can cross to another process. */
export interface ImageHeader {
  readonly size: Size;
  readonly facts: ImageFacts;
  /** Sizes of its smaller levels, the largest first. */
  readonly overviews: readonly { readonly size: Size }[];
}
