import type { StackFacts } from '../../planes.js';
import type { PixelSize } from '../../source.js';
import type { Reduction } from '../halve.js';
import type { MaskClass } from './ome-xml.js';

/** Types of pixels, with the array and OME-XML's name of each. */
export const PIXEL_TYPES = {
  uint8: { array: Uint8Array, ome: 'uint8' },
  uint16: { array: Uint16Array, ome: 'uint16' },
  uint32: { array: Uint32Array, ome: 'uint32' },
  float32: { array: Float32Array, ome: 'float' },
} as const;

/** What a TIFF holds, and how it is stored. */
export interface TiffFormat {
  /** The image's name in the OME-XML, such as `labels`. Default `image`. */
  readonly name?: string;
  /** Values per pixel, interleaved as they come. Three of 8 or 16 bits are stored as RGB, others in planes. */
  readonly channels: number;
  readonly dtype: keyof typeof PIXEL_TYPES;
  readonly mpp: PixelSize | null;
  /** Of a stack, its planes: each is an image with overviews of its own. Default one plane. */
  readonly stack?: StackFacts | undefined;
  /** How overviews are made. */
  readonly overviews: Reduction;
  /** How pixels come: in the bands of a plan, or in whole rows. Default `bands`. */
  readonly order?: 'bands' | 'rows';
  /**
   * What values mean, named in the OME-XML. In one channel of bytes they get the classes' colours, by a palette;
   * where there is a channel per class, each is named after its class. Default none.
   */
  readonly classes?: readonly MaskClass[];
}

/** How many images the file has: one with all channels, where they are colours, or else one per channel. */
export const planesOf = ({ channels, dtype }: TiffFormat): number =>
  channels === 3 && (dtype === 'uint8' || dtype === 'uint16') ? 1 : channels;
