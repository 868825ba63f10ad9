import type { Size } from '../../tiling/geometry.js';
import type { ImageFacts } from '../../tiling/source.js';

/** What is known of an image before its pixels are read: plain data, which crosses processes. */
export interface ImageHeader {
  readonly size: Size;
  readonly facts: ImageFacts;
  /** Its smaller pyramid levels, the largest first. */
  readonly overviews: readonly { readonly size: Size }[];
}
