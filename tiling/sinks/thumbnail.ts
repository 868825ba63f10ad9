import sharp from 'sharp';
import { shrink } from '../shrink.js';
import type { ImageSource } from '../source.js';
import { OVERLAY_OPACITY, type OverlayColour } from './overlay.js';
import { PartialFile } from './partial-file.js';
import { contrastOf, renderLabels, renderPixels } from './render.js';

const SIDE_PX = 1024;
/** Writes a small PNG of an image with its mask over it. Labels are sampled, not averaged: none is invented. */
export async function writeThumbnail(
  source: ImageSource,
  mask: ImageSource,
  path: string,
  colours: readonly OverlayColour[],
  signal?: AbortSignal,
): Promise<void> {
  const { raster, scale } = await shrink(source, SIDE_PX, signal);
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
  const tint = await sharp(await renderLabels(labels, raster, colours))
    .linear([1, 1, 1, OVERLAY_OPACITY], [0, 0, 0, 0])
    .png()
    .toBuffer();
  const png = await renderPixels(raster, contrastOf(raster))
    .toColourspace('srgb')
    .composite([{ input: tint }])
    .png()
    .toBuffer();
  await PartialFile.write(path, png);
}
