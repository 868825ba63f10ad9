import { CorruptImageError, ImageTooLargeError, SourceUnreachableError } from '../errors.js';
import type { Size } from '../geometry.js';
import type { PlaneRanges } from '../planes.js';
import type { TypedRange } from '../raster.js';
import type { PixelSize } from '../source.js';

/** A channel of an image: its number, from 0, or its name. */
export type ChannelRef = number | string;

/** A channel that a model takes, and the names that images may give it. */
export interface WantedChannel {
  readonly name: string;
  readonly aliases: readonly string[];
}

/** Which picture of a file is read, and how. All numbers count from 0. */
export interface ImageChoice {
  /** Which image of a file with several, such as 2. Default 0. */
  readonly page?: number | undefined;
  /** Which level of a pyramid. Default 0, the largest. */
  readonly level?: number | undefined;
  /** Which channels, in this order, such as `[0, 2]` or `['DAPI']`: one is gray, three are RGB. Default all. */
  readonly channels?: readonly ChannelRef[] | undefined;
  /**
   * Which plane of a stack, and which time of a series. Default 0. Of several, the first is opened, and the others by
   * `ImageSource.openPlane`.
   */
  readonly z?: number | PlaneRanges | undefined;
  readonly t?: number | PlaneRanges | undefined;
  /** The stored values of black and white, such as `[0, 4095]`. Default the range of their type; floats have none. */
  readonly range?: readonly [low: number, high: number] | undefined;
  /** The pixel size, such as `{ x: 0.25, y: 0.25 }`. Default what the file says. */
  readonly mpp?: PixelSize | undefined;
}

export interface OpenOptions extends ImageChoice {
  /** An existing folder, where pictures without random access are unpacked. */
  readonly scratchDir: string;
  /** Limit of width times height, such as 1e10. */
  readonly maxPixels: number;
  /**
   * What is done to values. `intensities`: they are made intensities between black and white. `unscaled`: the
   * same, but floats and signed integers stay as they are, and need no range. `stored`: nothing, even with
   * palettes, inverted and narrow values. Default `intensities`.
   */
  readonly values?: 'intensities' | 'unscaled' | 'stored';
  /** The channels that the model takes by name. Used if `channels` is not given. */
  readonly wanted?: readonly WantedChannel[] | undefined;
  /** The range of the model's training data. Used if `range` is not given and the image has values of its type. */
  readonly trainingRange?: TypedRange | undefined;
  /** Bytes of memory for a picture that has to be unpacked as a whole, such as 2 ** 28. Default 1 GiB. */
  readonly maxUnpackedBytes?: number | undefined;
  /** Whether the path is an upload, which may not refer to other files beside it. Default false. */
  readonly singleFile?: boolean | undefined;
  /** Hosts that images may be read from by URL, such as `['images.example.org:8080']`. Default none. */
  readonly allowedHosts?: readonly string[] | 'any' | undefined;
  /** Whether only the header is read: a picture without random access is not unpacked. Default false. */
  readonly headerOnly?: boolean;
  readonly signal?: AbortSignal;
}

/** @throws SourceUnreachableError for an address whose host is not allowed */
export function checkHost(address: string, { allowedHosts = [] }: Pick<OpenOptions, 'allowedHosts'>): void {
  const { host } = new URL(address);
  if (allowedHosts === 'any' || allowedHosts.includes(host)) return;
  throw new SourceUnreachableError(`images from ${host} are not allowed: it is not one of --image-hosts`);
}

/**
 * @throws CorruptImageError for a size without pixels
 * @throws ImageTooLargeError for more pixels than the limit
 */
export function checkPixels({ width, height }: Size, { maxPixels }: OpenOptions): void {
  if (!(width >= 1 && height >= 1)) throw new CorruptImageError(`the image claims ${width} × ${height} px`);
  if (width * height > maxPixels) throw new ImageTooLargeError(width, height, maxPixels);
}
