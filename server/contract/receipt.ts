import type { ChannelConversion } from '../../model/network/pixels.js';
import type { Margins } from '../../tiling/geometry.js';
import type { ValueRange } from '../../tiling/raster.js';
import type { PixelSize } from '../../tiling/source.js';
import type { Stage } from './stages.js';

/** How a result was computed, and from what: enough to compute it again. It is never embedded in the mask's file. */
export interface Receipt {
  readonly model: { readonly name: string; readonly version: number | string; readonly sha256: string };
  readonly image: {
    readonly width: number;
    readonly height: number;
    readonly channels: number;
    readonly dtype: string;
    /** In micrometres; null where the pixel size is unknown. */
    readonly mpp: PixelSize | null;
  };
  readonly outputs: readonly { readonly kind: string; readonly format: string }[];
  readonly plan: {
    readonly tile: string;
    readonly halo: Margins;
    readonly stride: string;
    readonly tiles: number;
    /** Share of the computed px that no tile owns. */
    readonly haloShare: number;
  };
  /**
   * How the tiles of the plan ended: computed, with the result of an earlier tile of the same value or with identical
   * pixels, skipped as background, or read back from the journal of an interrupted run.
   */
  readonly tiles: {
    readonly computed: number;
    readonly constant: number;
    readonly identical: number;
    readonly skipped: number;
    readonly replayed: number;
  };
  /** How the image was scaled for the model; null where it was not. Masks have the image's size all the same. */
  readonly scale: {
    readonly level: number;
    readonly width: number;
    readonly height: number;
    readonly mpp: PixelSize | null;
  } | null;
  /** What was skipped as background; null where everything was computed. Skipped tiles are not exact. */
  readonly background: {
    readonly tilesSkipped: number;
    readonly tissueShare: number;
    readonly threshold: number | null;
  } | null;
  /** The area of each class; null where only probabilities were computed. */
  readonly areas:
    | readonly { readonly name: string; readonly pixels: number; readonly um2: number | null }[]
    | null;
  /** `type-range` where the whole range of the type is black to white; `range` where an interval is. */
  readonly normalisation: string;
  /** The stored values that were black and white to the network; null for floats without a range. */
  readonly range: ValueRange | null;
  readonly channels: ChannelConversion;
  /** Whether probabilities were averaged over the eight symmetries of the square. */
  readonly symmetries: boolean;
  /** The probability from which pixels have the second of two classes; null where the greater one decided. */
  readonly threshold: number | null;
  /** Whether this device passed the tiling self-test for the very graph that was used: see `selfTest`. */
  readonly exact: boolean;
  /**
   * The largest difference between probabilities that this test saw, from 0 to 1: 0 where `exact`; null where there is no
   * test, for a model that resizes its output.
   */
  readonly largestDifference: number | null;
  /** Whether the same tile has the same bits each time: where it has not, nothing of this run is used for another. */
  readonly repeatable: boolean;
  /** How the tiles were computed, which no bit depends on where `exact`: as measured on this device, or by default. */
  readonly compute: {
    readonly lanes: number;
    /** Of each lane. */
    readonly threads: number;
    /** Px of a batch of several tiles, at most. */
    readonly batchPx: number;
    readonly measured: boolean;
    /** Why the requested device `auto` was no GPU; null where it was one, or was not requested. */
    readonly fallback: string | null;
  };
  /**
   * What the last bits depend on: the processor, its instruction set, and the channel blocks it convolves in; or the GPU,
   * its driver, and how it rounds.
   */
  readonly device: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly classes: readonly { readonly name: string; readonly colour: string | null }[];
  readonly warnings: readonly string[];
  /** When an earlier request computed the results; null where this one did. All else is as of then. */
  readonly cached: { readonly computedAt: string } | null;
  /** Sums over all tiles, in ms. Stages of different tiles overlap, so they may exceed `durationMs`. */
  readonly stagesMs: Readonly<Partial<Record<Stage, number>>>;
  readonly durationMs: number;
}

/** How nearly tiles equal the whole, as the last words of a line: `, exact`, `, tiles differ by up to 4.2e-7`, or none. */
export function exactnessText({
  exact,
  largestDifference,
}: Pick<Receipt, 'exact' | 'largestDifference'>): string {
  if (exact) return ', exact';
  if (largestDifference === null) return '';
  return `, tiles differ by up to ${Number(largestDifference.toPrecision(2))}`;
}
