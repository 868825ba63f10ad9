import type { Card } from '../../model/card.js';
import type { OverlayColour } from '../../tiling/sinks/overlay.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import type { ViewTile } from '../contract/deep-zoom.js';
import type { ImageHeader } from '../contract/image-header.js';
import type { PlanSpec } from '../contract/job-spec.js';
import type { Outcome } from '../contract/outcome.js';
import type { ResultFile } from '../contract/outputs.js';

/** How every image is opened. */
export type ReaderLimits = Pick<OpenOptions, 'maxPixels' | 'maxUnpackedBytes' | 'allowedHosts'>;
/** Which image, and which picture of it. */
export interface ImageSpec extends Pick<PlanSpec, 'input' | 'singleFile' | 'choice' | 'scratchDir'> {
  /** The range that the model learned from. */
  readonly learnt: OpenOptions['learnt'];
}

/** What a process that reads images is asked, one call at a time. */
export interface ReaderCalls {
  header(image: ImageSpec): Promise<ImageHeader>;
  imageTile(image: ImageSpec, tile: ViewTile): Promise<Buffer>;
  maskTile(
    mask: string,
    scratchDir: string,
    tile: ViewTile,
    colours: readonly OverlayColour[],
  ): Promise<Buffer>;
  /** Makes results of a finished mask. */
  derive(image: ImageSpec, card: Card, mask: string, results: readonly ResultFile[]): Promise<void>;
  /** Closes what is open of a folder's files. */
  forget(folder: string): Promise<void>;
}
export type ReadName = keyof ReaderCalls;

export type ToReader =
  | { readonly type: 'start'; readonly limits: ReaderLimits }
  | { readonly type: 'call'; readonly name: ReadName; readonly args: readonly unknown[] };

export type FromReader = { readonly type: 'ready' } | Outcome;
