import { UnsupportedImageError } from '../errors.js';
import type { Raster } from '../raster.js';
import type { ImageSource, PixelReader } from '../source.js';
import { checkChannel } from './choice.js';
import { checkPixels, type OpenOptions } from './options.js';

/** An image with some of it changed. */
function changed(source: ImageSource, changes: Partial<ImageSource>): ImageSource {
  const { size, channels, dtype, channelNames, mpp, notes, overviews } = source;
  return {
    ...{ size, channels, dtype, channelNames, mpp, notes, overviews },
    readRegion: (rect, signal) => source.readRegion(rect, signal),
    close: () => source.close(),
    ...changes,
  };
}

/**
 * The view of an image that was asked for: one level, its values in a range, a pixel size of the user's.
 * (Pages, planes and channels are chosen by the formats themselves, which then read nothing else.)
 */
export function viewOf(source: ImageSource, options: OpenOptions): ImageSource {
  let view = source;
  if (options.level) view = levelOf(view, options.level);
  checkPixels(view.size, options);
  if (options.range) view = ranged(view, options.range);
  else if (view.dtype === 'float32' && options.values !== 'stored') {
    throw new UnsupportedImageError(
      'the image holds signed or floating-point values: say with "range" which are black and white, such as 0,1',
    );
  }
  if (options.mpp) view = changed(view, { mpp: options.mpp });
  return view;
}

function levelOf(source: ImageSource, level: number): ImageSource {
  const overview = source.overviews[level - 1];
  if (!overview) {
    throw new UnsupportedImageError(
      `there is no level ${level}: the image has ${source.overviews.length + 1}, from 0`,
    );
  }
  const { size, mpp } = source;
  return changed(source, {
    size: overview.size,
    mpp: mpp && {
      x: (mpp.x * size.width) / overview.size.width,
      y: (mpp.y * size.height) / overview.size.height,
    },
    overviews: source.overviews.slice(level),
    readRegion: (rect, signal) => overview.readRegion(rect, signal),
  });
}

/** Values from `low` to `high` as 0 to 1; what lies outside is cut off. */
function ranged(source: ImageSource, [low, high]: readonly [number, number]): ImageSource {
  const scaled = ({ data, ...raster }: Raster): Raster => {
    const values = new Float32Array(data.length);
    const scale = 1 / (high - low);
    for (let i = 0; i < values.length; i++) values[i] = Math.min(1, Math.max(0, (data[i]! - low) * scale));
    return { ...raster, data: values };
  };
  const reader = (inner: PixelReader): PixelReader => ({
    size: inner.size,
    readRegion: async (rect, signal) => scaled(await inner.readRegion(rect, signal)),
  });
  return changed(source, { ...reader(source), dtype: 'float32', overviews: source.overviews.map(reader) });
}

/** Some channels of an image, in this order; for formats that always decode all of them. */
export function channelsOf(source: ImageSource, chosen: readonly number[]): ImageSource {
  for (const i of chosen) checkChannel(i, source.channels);
  const picked = ({ data, width, height, channels }: Raster): Raster => {
    const values = new (data.constructor as typeof Uint8Array)(width * height * chosen.length);
    for (const [to, from] of chosen.entries()) {
      for (let i = 0; i < width * height; i++) values[i * chosen.length + to] = data[i * channels + from]!;
    }
    return { data: values, width, height, channels: chosen.length };
  };
  const reader = (inner: PixelReader): PixelReader => ({
    size: inner.size,
    readRegion: async (rect, signal) => picked(await inner.readRegion(rect, signal)),
  });
  return changed(source, {
    ...reader(source),
    channels: chosen.length,
    channelNames: source.channelNames && chosen.map((i) => source.channelNames![i]!),
    overviews: source.overviews.map(reader),
  });
}
