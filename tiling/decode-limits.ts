/** Decoding of a tile that takes longer than this has gone wrong. */
const TILE_SECONDS = 60;
/** A whole picture takes time by its size: no format here decodes fewer px in a second. */
const PIXELS_A_SECOND = 500_000;

/** sharp's limits for a picture of a known size: it opens nothing larger, and ends what takes too long. */
export function limitsFor({ width, height }: { readonly width: number; readonly height: number }): {
  readonly limitInputPixels: number;
  readonly seconds: number;
} {
  const pixels = width * height;
  return {
    limitInputPixels: pixels,
    seconds: Math.min(3600, TILE_SECONDS + Math.ceil(pixels / PIXELS_A_SECOND)),
  };
}
