import { CorruptImageError, ImageTooLargeError, SourceUnreachableError } from '../errors.js';
import type { Size } from '../geometry.js';
import type { TypedRange } from '../raster.js';
import type { PixelSize } from '../source.js';

/** Which picture of a file is read, and how. Everything counts from 0. */
export interface ImageChoice {
  /** Which image of a file that holds several. Default 0. */
  readonly page?: number | undefined;
  /** Which level of a pyramid. Default 0, the largest. */
  readonly level?: number | undefined;
  /** Which channels, in this order: one is gray, three are RGB. Default all. */
  readonly channels?: readonly number[] | undefined;
  /** Which plane of a stack, and which of a series in time. Default 0. */
  readonly z?: number | undefined;
  readonly t?: number | undefined;
  /** The values that are black and white; default the range of an unsigned type. Floats need it. */
  readonly range?: readonly [low: number, high: number] | undefined;
  /** The pixel size, whatever the file says of it. */
  readonly mpp?: PixelSize | undefined;
}

export interface OpenOptions extends ImageChoice {
  /** Where pictures without random access are unpacked; must exist. */
  readonly scratchDir: string;
  /** Width times height at most. */
  readonly maxPixels: number;
  /**
   * `intensities` (default): every value has a meaning between black and white. `unscaled`: the same, but that
   * floats and signed values need no range. `stored`: as they are, palettes, inverted and narrow ones too.
   */
  readonly values?: 'intensities' | 'unscaled' | 'stored';
  /** The range that a model learned with; used where none is given and the image's values are of its type. */
  readonly learnt?: TypedRange | undefined;
  /** Bytes that a picture may take of memory where its format makes it be unpacked as a whole. Default 1 GiB. */
  readonly maxUnpackedBytes?: number | undefined;
  /** Whether the path is an upload: one file, whatever it says of others beside it. Default not. */
  readonly singleFile?: boolean | undefined;
  /** Hosts that images may be read from by URL, each as it stands in the address. Default none. */
  readonly allowedHosts?: readonly string[] | 'any' | undefined;
  /** What is to be known from the header alone: a picture without random access is not unpacked, and not read. */
  readonly headerOnly?: boolean;
  readonly signal?: AbortSignal;
}

/** @throws SourceUnreachableError for an address whose host is not allowed */
export function checkHost(address: string, { allowedHosts = [] }: Pick<OpenOptions, 'allowedHosts'>): void {
  const { host } = new URL(address);
  if (allowedHosts === 'any' || allowedHosts.includes(host)) return;
  throw new SourceUnreachableError(
    `images are not read from ${host}: it is not among those of --image-hosts`,
  );
}

export function checkPixels({ width, height }: Size, { maxPixels }: OpenOptions): void {
  if (!(width >= 1 && height >= 1)) throw new CorruptImageError(`the image claims ${width} × ${height} px`);
  if (width * height > maxPixels) throw new ImageTooLargeError(width, height, maxPixels);
}
