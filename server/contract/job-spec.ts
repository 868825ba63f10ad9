import type { Priority } from '../../model/scheduler/priority.js';
import type { Size } from '../../tiling/geometry.js';
import type { TileChoice } from '../../tiling/plan.js';
import type { ImageChoice } from '../../tiling/sources/options.js';
import type { Format, Output, ResultFile } from './outputs.js';
import type { JobProgress } from './schemas/job.js';
import type { StatisticsRequest } from './statistics.js';

/** How an image is to be segmented: the same for a queued job, a synchronous request and the command line. */
export interface WorkSpec {
  /** `NAME` or `NAME/VERSION`; undefined for the only model there is. */
  readonly model: string | undefined;
  /** Which picture of the file: its page, level, channels, plane and time. */
  readonly choice: ImageChoice;
  readonly tile: TileChoice;
  /** Average probabilities over the eight symmetries of the square (test-time augmentation). */
  readonly symmetries: boolean;
  /**
   * Of two classes: the probability from which a pixel has the second, or `card` for the one that its model's
   * validation chose; null, as by default, for the greater probability.
   */
  readonly threshold?: number | 'card' | null;
  /** Scale the image to the pixel size of the model's training images; masks still have the image's size. */
  readonly scale: boolean;
  /** Where the statistics of the image come from, for models that normalise by these. */
  readonly statistics?: StatisticsRequest | undefined;
  /** Which tiles are skipped: those without tissue, found by colour or by a mask in a file; null for none. */
  readonly background: 'auto' | { readonly mask: string } | null;
}

/** An image and how it is to be segmented: what a plan is made of. */
export interface PlanSpec extends WorkSpec {
  /** A file, the folder of an OME-Zarr, or the address of a TIFF or an OME-Zarr. */
  readonly input: string;
  /** Whether `input` is an upload: other files that it names are not opened. Default false. */
  readonly singleFile?: boolean;
  /** Where a picture without random access is unpacked. */
  readonly scratchDir: string;
  /** The requested results. Default labels as TIFF. */
  readonly outputs?: readonly { readonly output: Output; readonly format: Format }[];
  /** How far simplified contours may be from the pixels' sides, in px. Default 0: not simplified. */
  readonly simplify?: number;
}

/** A job as plain data, which crosses to a worker. */
export interface JobSpec extends PlanSpec {
  readonly id: string;
  readonly priority: Priority;
  /** The files to write; each appears when it is complete. */
  readonly results: readonly ResultFile[];
  /** Of the image, where it is known: the time limit for opening it grows with it. */
  readonly size?: Size;
  /** The file of finished bands from which a killed job resumes; null for a job that starts over. */
  readonly journal: string | null;
}

/** The tiles that were computed, of those that are done. */
export const tilesComputed = ({
  tilesDone,
  tilesReplayed,
  tilesSkipped,
  tilesConstant,
  tilesIdentical,
}: JobProgress): number => tilesDone - tilesReplayed - tilesSkipped - tilesConstant - tilesIdentical;
