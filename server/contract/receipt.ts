import type { ChannelConversion } from '../../model/pixels.js';
import type { Margins } from '../../tiling/geometry.js';
import type { ValueRange } from '../../tiling/raster.js';
import type { PixelSize } from '../../tiling/source.js';
import type { Stage } from './stages.js';

/** What a result was made of and how: enough to make it again. It never travels inside the mask file. */
export interface Receipt {
  readonly model: { readonly name: string; readonly version: number; readonly sha256: string };
  readonly image: {
    readonly width: number;
    readonly height: number;
    readonly channels: number;
    readonly dtype: string;
    /** Micrometres a pixel, if they are known. */
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
  /** How the image was scaled for the model; null where it was not. The mask has the image's size. */
  readonly scale: {
    readonly level: number;
    readonly width: number;
    readonly height: number;
    readonly mpp: PixelSize | null;
  } | null;
  /** What was not looked at; null where all was. Exactness ends at what was skipped. */
  readonly background: {
    readonly tilesSkipped: number;
    readonly tissueShare: number;
    readonly threshold: number | null;
  } | null;
  /** How much of the image each class has; null where probabilities were written. */
  readonly areas:
    | readonly { readonly name: string; readonly pixels: number; readonly um2: number | null }[]
    | null;
  /** `type-range`, or `range` where the values between two are black to white. */
  readonly normalisation: string;
  /** The stored values that were black and white to the network. */
  readonly range: ValueRange | null;
  readonly channels: ChannelConversion;
  /** Whether probabilities are means over the eight symmetries of the square. */
  readonly symmetries: boolean;
  /** The probability from which pixels have the second of two classes; null where the greater one decided. */
  readonly threshold: number | null;
  /** Whether this device passed the tiling test of the very graph that was used: see `selfTest`. */
  readonly exact: boolean;
  /** The processor, its widest instructions and the blocks that it convolves in: what last bits depend on. */
  readonly device: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly classes: readonly { readonly name: string; readonly colour: string | null }[];
  readonly warnings: readonly string[];
  /** Summed over tiles, in ms; stages of different tiles overlap. */
  readonly stagesMs: Readonly<Partial<Record<Stage, number>>>;
  readonly durationMs: number;
}
