import type { Rect, Size } from './geometry.js';
import type { Plane, StackFacts } from './planes.js';
import type { Dtype, Raster, ValueRange } from './raster.js';

/** Width and height of a pixel in micrometres. */
export interface PixelSize {
  readonly x: number;
  readonly y: number;
}

/**
 * What is known of an image before any of its pixels is read, but for its size. Plain data: it crosses
 * processes as it is, and a view of an image replaces what it changes and keeps the rest.
 */
export interface ImageFacts {
  /** Values per pixel: 1 gray, 3 RGB, or one for each of `channelNames`. Alpha is never among them. */
  readonly channels: number;
  /** Type of the values that `readRegion` returns. */
  readonly dtype: Dtype;
  /** Names of channels that are pictures in their own right, as in fluorescence; null for gray and RGB. */
  readonly channelNames: readonly string[] | null;
  /** Which channels of the file these are, in this order; undefined where they are all. */
  readonly channelIndexes?: readonly number[] | undefined;
  /** How the file stores its values, where that is not `dtype`: `int8`, `uint32`, … */
  readonly storedType?: string | undefined;
  /** The stored values that became 0 and 1; undefined where values are as stored. */
  readonly range?: ValueRange | undefined;
  /** Null where the file does not state it. */
  readonly mpp: PixelSize | null;
  /** What the source did to the stored picture, for the receipt: dropped alpha, ignored orientation. */
  readonly notes: readonly string[];
  /** Size of the largest level of the pyramid, where this image is a smaller one. */
  readonly fullSize?: Size | undefined;
  /** The planes and times that the file has, where this image is one of several. */
  readonly stack?: StackFacts | undefined;
  /** Whether parts of the image are in files beside the one that was opened. */
  readonly hasOtherFiles?: boolean | undefined;
  /** Whether the format has no random access, so that opening it decodes all of it to a scratch file. */
  readonly isUnpacked?: boolean | undefined;
}

/** Pixels that are read by region. */
export interface PixelReader {
  readonly size: Size;
  /**
   * Reads the pixels of `rect`, which is in px of this reader and inside it. Called by the pipeline for
   * each tile, by several tiles at once and in no particular order; a source bounds what it caches.
   *
   * The raster has the size of `rect`, and an array of its own that the caller may overwrite. The same
   * rectangle always has the same values, whatever else was read before.
   *
   * @param signal a read that begins when it is aborted rejects with its reason, one that is under way may; no new
   *   I/O is started, and no other read fails
   * @throws CorruptImageError where the file does not hold what its header promises
   * @throws SourceUnreachableError where the image is on a server that does not deliver it
   */
  readRegion(rect: Rect, signal?: AbortSignal): Promise<Raster>;
}

/**
 * An image that is open: the seam between file formats and everything that reads pixels. `openImage` makes
 * one; whoever opened it closes it. A new format implements this, and is one more line in the contract
 * suite of the tests.
 */
export interface ImageSource extends PixelReader {
  /** Of the rasters of `readRegion`, and of those of all `overviews`. */
  readonly facts: ImageFacts;
  /** The same picture, smaller: the levels of the pyramid below this one, the largest first. */
  readonly overviews: readonly PixelReader[];
  /** The stored values, where `facts.range` made intensities of them. */
  readonly stored?: PixelReader | undefined;
  /**
   * Opens another plane of the same stack, as this one was opened; undefined where there is one plane. It is closed
   * before this one, by whoever opened it.
   */
  readonly openPlane?: ((plane: Plane) => Promise<ImageSource>) | undefined;
  /**
   * Frees files, memory and scratch space. Called once, by whoever opened the image and also after a
   * failure, when no read is running any more; nothing is read afterwards.
   */
  close(): Promise<void>;
}

/** The same image with some members replaced; `readRegion` and `close` keep their `this`. */
export function withMembers(source: ImageSource, members: Partial<ImageSource>): ImageSource {
  return {
    ...source,
    readRegion: (rect, signal) => source.readRegion(rect, signal),
    close: () => source.close(),
    ...members,
  };
}

/** The same image with some of its facts replaced; its pixels are as they were. */
export function withFacts(source: ImageSource, facts: Partial<ImageFacts>): ImageSource {
  return withMembers(source, { facts: { ...source.facts, ...facts } });
}
