import type { Size } from '../../geometry.js';

/** How a TIFF stores its values: their type, and how they are packed and compressed. */
export interface StoredValues {
  /** Values per pixel that are stored: colours, alpha and others. */
  readonly samples: number;
  /** Bits per value. */
  readonly bits: number;
  readonly format: 'uint' | 'int' | 'float';
  readonly compression: number;
  /** 1 none, 2 differences of values, 3 differences of the bytes of floats. */
  readonly predictor: number;
  readonly photometric: number;
  /** Whether chunks hold one sample each, all chunks of the first sample first. */
  readonly isPlanar: boolean;
}

/** What decides how many bytes decoded pixels take. */
export type Packing = Pick<StoredValues, 'samples' | 'bits' | 'isPlanar'>;

/** Planes that are stored one after the other. */
export const planesOf = ({ isPlanar, samples }: Packing): number => (isPlanar ? samples : 1);

/** Values per pixel of a chunk. */
export const chunkSamples = ({ isPlanar, samples }: Packing): number => (isPlanar ? 1 : samples);

/** Bytes of `width` decoded pixels of a chunk; each row starts at a whole byte. */
export function bytesPerRow(width: number, packing: Packing): number {
  return Math.ceil((width * chunkSamples(packing) * packing.bits) / 8);
}

/** Bytes of a decoded chunk at most. */
export function chunkBytes({ width, height }: Size, packing: Packing): number {
  return height * bytesPerRow(width, packing);
}
