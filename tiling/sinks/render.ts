import sharp, { type Sharp } from 'sharp';
import type { Size } from '../geometry.js';
import type { Raster } from '../raster.js';
import type { Contrast, OverlayColour } from './overlay.js';

/** The share of the darkest and of the brightest pixels that are shown black and white. */
const CLIPPED_SHARE = 0.002;

/** Bytes are shown as they are; other values are stretched to the range of a small version of the image. */
export function contrastOf({ data }: Raster): Contrast {
  if (data instanceof Uint8Array) return { low: 0, high: 255 };
  const sorted = Float64Array.from(data).sort();
  const low = sorted[Math.floor(sorted.length * CLIPPED_SHARE)]!;
  const high = sorted[Math.floor(sorted.length * (1 - CLIPPED_SHARE))]!;
  return { low, high: high > low ? high : low + 1 };
}

/** Renders pixels as gray or RGB of 8 bits, for sharp to encode; of separate channels, the first. */
export function renderPixels({ data, width, height, channels }: Raster, { low, high }: Contrast): Sharp {
  const bands = channels === 3 ? 3 : 1;
  const bytes =
    data instanceof Uint8Array && bands === channels ? data : new Uint8Array(width * height * bands);
  if (bytes !== data) {
    const scale = 255 / (high - low);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < bands; c++) {
        bytes[i * bands + c] = Math.min(255, Math.max(0, (data[i * channels + c]! - low) * scale));
      }
    }
  }
  const picture = sharp(bytes, { raw: { width, height, channels: bands } });
  return bands === 1 ? picture.toColourspace('b-w') : picture;
}

/** Renders labels as an RGBA PNG in their classes' colours; transparent where a class has none. */
export function renderLabels(
  labels: Uint8Array,
  size: Size,
  colours: readonly OverlayColour[],
): Promise<Buffer> {
  const table = new Uint32Array(256);
  for (const [label, colour] of colours.entries()) {
    if (colour) table[label] = (255 << 24) | (colour[2] << 16) | (colour[1] << 8) | colour[0];
  }
  const pixels = new Uint32Array(labels.length);
  for (let i = 0; i < labels.length; i++) pixels[i] = table[labels[i]!]!;
  return sharp(new Uint8Array(pixels.buffer), { raw: { ...size, channels: 4 } })
    .png({ compressionLevel: 3 })
    .toBuffer();
}
