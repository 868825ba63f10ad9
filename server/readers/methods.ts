import type { CallContext } from '../../model/engine/rpc.js';
import type { Card } from '../../model/shelf/card.js';
import type { Plane } from '../../tiling/planes.js';
import type { OverlayColour } from '../../tiling/sinks/overlay.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import type { ViewTile } from '../contract/deep-zoom.js';
import type { ImageHeader } from '../contract/image-header.js';
import type { PlanSpec } from '../contract/job-spec.js';
import type { ResultFile } from '../contract/outputs.js';
import type { ModelView } from '../pipeline/model-view.js';

/** How every image is opened. */
export type ReaderLimits = Pick<OpenOptions, 'maxPixels' | 'maxUnpackedBytes' | 'allowedHosts'>;

/** Which image, and which picture of it. */
export type ImageSpec = Pick<PlanSpec, 'input' | 'singleFile' | 'choice' | 'scratchDir'> & ModelView;

/** What a reader process is called for: one call at a time. */
export interface ReaderMethods {
  /** The first call. */
  start(limits: ReaderLimits): Promise<void>;
  /** The image's metadata, without reading a pixel. */
  header(image: ImageSpec): Promise<ImageHeader>;
  /** A JPEG. */
  imageTile(image: ImageSpec, tile: ViewTile): Promise<Buffer>;
  /** A PNG in the classes' colours. */
  maskTile(
    mask: string,
    scratchDir: string,
    tile: ViewTile,
    plane: Plane | null,
    colours: readonly OverlayColour[],
  ): Promise<Buffer>;
  /** Derives results from a finished mask. */
  derive(
    image: ImageSpec,
    card: Card,
    mask: string,
    results: readonly ResultFile[],
    context: CallContext,
  ): Promise<void>;
  /** Closes the open files below a folder. */
  evict(folder: string): Promise<void>;
}

/** The calls that follow `start`. */
export type ReadName = Exclude<keyof ReaderMethods, 'start'>;
