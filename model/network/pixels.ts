/**
 * The intensity contract between training and serving, as a card states it: unsigned integers are divided by their
 * type's maximum, so that 0 is black and 1 is the type's maximum.
 */
export const NORMALISATION = 'type-range' as const;

/**
 * Pixels: stored integers, or floats in [0, 1]; interleaved, `data.length = tiles · height · width · channels`.
 */
export type Pixels = Uint8Array | Uint16Array | Float32Array;

/** Rec. 601 luma weights of red, green and blue. */
export const LUMA = [0.299, 0.587, 0.114] as const;

/** How an image's channels were converted for a model; stated in receipts. */
export type ChannelConversion = 'none' | 'luminance' | 'copied';

/** How to convert an image's channels (without alpha) for a model; null where they cannot be converted. */
export function channelConversion(imageChannels: number, modelChannels: number): ChannelConversion | null {
  if (imageChannels === modelChannels) return 'none';
  if (imageChannels === 3 && modelChannels === 1) return 'luminance';
  if (imageChannels === 1 && modelChannels === 3) return 'copied';
  return null;
}

/** The maximum of a pixel type, by which pixels are divided. */
export function rangeOf(pixels: Pixels): number {
  if (pixels instanceof Float32Array) return 1;
  return pixels instanceof Uint8Array ? 255 : 65535;
}
