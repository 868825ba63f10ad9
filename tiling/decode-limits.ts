/** Decoding a tile takes much less, unless something is wrong. */
const TILE_SECONDS = 60;
/** The time for a whole picture depends on its size: every format decodes more px per second. */
const PIXELS_PER_SECOND = 500_000;

/** sharp's limits for a picture of a known size: it refuses larger ones, and stops decoding after some time. */
export function limitsFor({ width, height }: { readonly width: number; readonly height: number }): {
  readonly limitInputPixels: number;
  readonly seconds: number;
} {
  const pixels = width * height;
  return {
    limitInputPixels: pixels,
    seconds: Math.min(3600, TILE_SECONDS + Math.ceil(pixels / PIXELS_PER_SECOND)),
  };
}
