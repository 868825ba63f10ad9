/**
 * The intensity contract between training and serving, as a card states it: unsigned integers are
 * divided by the range of their type, so that 0 is black and 1 is the brightest that the type holds.
 */
export const NORMALISATION = 'type-range' as const;

/**
 * Pixels: integers as they are stored, or floats already in [0, 1]; interleaved, `data.length = tiles · height · width · channels`.
 */
export type Pixels = Uint8Array | Uint16Array | Float32Array;

/** What was done to an image's channels to suit a model; stated in receipts. */
export type ChannelConversion = 'none' | 'luminance' | 'copied';

/** How an image of so many channels (alpha not counted) is given to a model; null where it cannot be. */
export function channelConversion(imageChannels: number, modelChannels: number): ChannelConversion | null {
  if (imageChannels === modelChannels) return 'none';
  if (imageChannels === 3 && modelChannels === 1) return 'luminance';
  if (imageChannels === 1 && modelChannels === 3) return 'copied';
  return null;
}

/** The brightest that pixels of this type can be: what they are divided by. */
export function rangeOf(pixels: Pixels): number {
  if (pixels instanceof Float32Array) return 1;
  return pixels instanceof Uint8Array ? 255 : 65535;
}
