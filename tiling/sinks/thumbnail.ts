import sharp, { type Sharp } from 'sharp';
import type { Raster } from '../raster.js';
import { shrink } from '../shrink.js';
import type { ImageSource } from '../source.js';
import type { OverlayColour } from './overlay.js';
import { PartialFile } from './partial-file.js';
import { coloured } from './preview.js';

const SIDE_PX = 1024;
const OPACITY = 0.45;
/** The share of the darkest and of the brightest pixels that are shown black and white. */
const CLIPPED_SHARE = 0.002;

/** The values that are shown black and white. */
export interface Contrast {
  readonly low: number;
  readonly high: number;
}

/** Bytes are shown as they are; other values are stretched to the range of a small version of the image. */
export function contrastOf({ data }: Raster): Contrast {
  if (data instanceof Uint8Array) return { low: 0, high: 255 };
  const sorted = Float64Array.from(data).sort();
  const low = sorted[Math.floor(sorted.length * CLIPPED_SHARE)]!;
  const high = sorted[Math.floor(sorted.length * (1 - CLIPPED_SHARE))]!;
  return { low, high: high > low ? high : low + 1 };
}

/** Opens pixels with sharp, as gray or RGB of 8 bits; of separate channels, the first. */
export function shown({ data, width, height, channels }: Raster, { low, high }: Contrast): Sharp {
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

/** Writes a small PNG of an image with its mask over it. Labels are sampled, not averaged: none is invented. */
export async function writeThumbnail(
  source: ImageSource,
  mask: ImageSource,
  path: string,
  colours: readonly OverlayColour[],
): Promise<void> {
  const { raster, scale } = await shrink(source, SIDE_PX);
  const { width, height } = raster;
  const level = [mask, ...mask.overviews].reverse().find(({ size }) => size.width >= width) ?? mask;
  const labels = new Uint8Array(width * height);
  const ratio = { x: level.size.width / mask.size.width, y: level.size.height / mask.size.height };
  for (let y = 0; y < height; y++) {
    const at = Math.min(level.size.height - 1, Math.floor((y + 0.5) * scale * ratio.y));
    const { data } = await level.readRegion({ x: 0, y: at, width: level.size.width, height: 1 });
    for (let x = 0; x < width; x++) {
      labels[y * width + x] = data[Math.min(level.size.width - 1, Math.floor((x + 0.5) * scale * ratio.x))]!;
    }
  }
  const tint = await sharp(await coloured(labels, raster, colours))
    .linear([1, 1, 1, OPACITY], [0, 0, 0, 0])
    .png()
    .toBuffer();
  const png = await shown(raster, contrastOf(raster))
    .toColourspace('srgb')
    .composite([{ input: tint }])
    .png()
    .toBuffer();
  await PartialFile.write(path, png);
}
