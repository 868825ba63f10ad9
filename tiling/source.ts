import type { Rect, Size } from './geometry.js';
import type { Dtype, Raster } from './raster.js';

/** Pixel size as TIFF states it; copied to the mask as it stands. */
export interface Resolution {
  /** Pixels per unit. */
  readonly x: number;
  readonly y: number;
  /** TIFF's ResolutionUnit: 1 none, 2 inch, 3 centimetre. */
  readonly unit: 1 | 2 | 3;
}

/** An image that is read by region. */
export interface ImageSource {
  readonly size: Size;
  /** 1 gray or 3 RGB; alpha is dropped by the source. */
  readonly channels: number;
  readonly dtype: Dtype;
  readonly resolution: Resolution | null;
  /** What the source did to the stored picture, for the receipt: dropped alpha, ignored orientation. */
  readonly notes: readonly string[];
  /**
   * Pixels of a rectangle inside the image, in image px.
   * @throws CorruptImageError where the file does not hold what its header promises
   */
  readRegion(rect: Rect, signal?: AbortSignal): Promise<Raster>;
  close(): Promise<void>;
}
