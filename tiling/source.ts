import type { Rect, Size } from './geometry.js';
import type { Dtype, Raster, ValueRange } from './raster.js';

/** Width and height of a pixel in micrometres. */
export interface PixelSize {
  readonly x: number;
  readonly y: number;
}

/** Pixels that are read by region. */
export interface PixelReader {
  readonly size: Size;
  /**
   * Pixels of a rectangle inside the image, in px of this reader.
   * @throws CorruptImageError where the file does not hold what its header promises
   */
  readRegion(rect: Rect, signal?: AbortSignal): Promise<Raster>;
}

/** An image that is read by region. */
export interface ImageSource extends PixelReader {
  /** 1 gray, 3 RGB, or one for each of `channelNames`; alpha is dropped by the source. */
  readonly channels: number;
  readonly dtype: Dtype;
  /** Names of channels that are pictures of their own, as in fluorescence; null for gray and RGB. */
  readonly channelNames: readonly string[] | null;
  /** How the file stores its values, where that is none of `Dtype`: `int8`, `uint32`, … */
  readonly storedType?: string | undefined;
  /** The stored values that have become 0 and 1; left out where values are as they are stored. */
  readonly range?: ValueRange | undefined;
  readonly mpp: PixelSize | null;
  /** What the source did to the stored picture, for the receipt: dropped alpha, ignored orientation. */
  readonly notes: readonly string[];
  /** The values as they are stored, where a range has made others of them. */
  readonly stored?: PixelReader | undefined;
  /** The size of the picture's largest level, where this is a smaller one. */
  readonly fullSize?: Size | undefined;
  /** The same picture, smaller: the levels of a pyramid below the first, the largest first. */
  readonly overviews: readonly PixelReader[];
  /** Whether it has no random access, and is unpacked into a file to be read. */
  readonly unpacked?: boolean;
  close(): Promise<void>;
}
