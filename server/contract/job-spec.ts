import type { Priority } from '../../model/scheduler.js';
import type { Size } from '../../tiling/geometry.js';
import type { TileChoice } from '../../tiling/plan.js';
import type { ImageSource } from '../../tiling/source.js';
import type { ImageChoice } from '../../tiling/sources/options.js';
import type { Format, Output, ResultFile } from './outputs.js';
import type { Stage } from './stages.js';

/** What is to be done with an image: the same whether it waits in a job or is run at once. */
export interface WorkSpec {
  /** `NAME`, `NAME/VERSION`, or nothing where there is only one. */
  readonly model: string | undefined;
  /** Which picture of the image. */
  readonly choice: ImageChoice;
  readonly tile: TileChoice;
  /** Average probabilities over the eight symmetries of the square (test-time augmentation). */
  readonly symmetries: boolean;
  /**
   * Of two classes: the probability from which a pixel has the second, or `card` for the one that its model's
   * validation chose; null, as by default, for the greater probability.
   */
  readonly threshold?: number | 'card' | null;
  /** Scale the image to the pixel size that the model learned from; masks still have the image's size. */
  readonly scale: boolean;
  /** Skip tiles without tissue, `auto` or by a mask in this file; null to look at all. */
  readonly background: 'auto' | { readonly mask: string } | null;
}

/** An image and what is to be done with it: what a plan needs. */
export interface PlanSpec extends WorkSpec {
  /** A file, the folder of an OME-Zarr, or the address of a TIFF or an OME-Zarr. */
  readonly input: string;
  /** Whether `input` is an upload: one file, whatever it says of others. Default not. */
  readonly singleFile?: boolean;
  /** Where a picture without random access is unpacked. */
  readonly scratchDir: string;
  /** What is to be made; default labels as TIFF. */
  readonly outputs?: readonly { readonly output: Output; readonly format: Format }[];
  /** How far simplified contours may be from the pixels' sides, in px. */
  readonly simplify?: number;
}

/** What is to be segmented, and how: data that can cross to a worker. */
export interface JobSpec extends PlanSpec {
  readonly id: string;
  readonly priority: Priority;
  /** The files to write; each appears when it is complete. */
  readonly results: readonly ResultFile[];
  /** Of the image, where it is known: it says how long the image may take to open. */
  readonly size?: Size;
  /** The file that keeps finished bands, from which a job that was killed goes on; null for none. */
  readonly journal: string | null;
}

export interface SegmentJob extends JobSpec {
  readonly signal: AbortSignal;
  /** Watches how the image is opened and read, and a mask of its tissue. */
  readonly watch?: (opening: Promise<ImageSource>) => Promise<ImageSource>;
  readonly onStage?: (stage: Stage, durationMs: number) => void;
  readonly onProgress?: (progress: JobProgress) => void;
}

export interface JobProgress {
  readonly tiles: number;
  readonly tilesDone: number;
  /** Of `tilesDone`, those that were computed before the job was interrupted. */
  readonly tilesReplayed: number;
  /** Of `tilesDone`, those that were background. */
  readonly tilesSkipped: number;
  readonly pixels: number;
  readonly pixelsDone: number;
  /** Of `pixelsDone`, those that were computed now. */
  readonly pixelsComputed: number;
  /** Px that the network computed, halo included. */
  readonly haloAndPixels: number;
}
