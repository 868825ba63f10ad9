import { UnsupportedImageError } from '../errors.js';
import { rangeOfType, scaleToRange, storedTypeOf } from '../intensities.js';
import type { Raster, TypedRange } from '../raster.js';
import { type ImageSource, type PixelReader, withFacts, withMembers } from '../source.js';
import { chooseChannels } from './channels.js';
import { checkPixels, type OpenOptions } from './options.js';

/**
 * Makes the requested view of an image: one of its levels, its values scaled to a range, the user's pixel size.
 * (Pages, planes and channels are chosen by the formats themselves, which then read nothing else.)
 */
export function viewOf(source: ImageSource, options: OpenOptions): ImageSource {
  let view = source;
  if (options.level) view = levelOf(view, options.level);
  checkPixels(view.size, options);
  if (options.range) view = scaleToRange(view, options.range);
  else if ((options.values ?? 'intensities') === 'intensities')
    view = toIntensities(view, options.trainingRange);
  if (options.mpp) view = withFacts(view, { mpp: options.mpp });
  return view;
}

function levelOf(source: ImageSource, level: number): ImageSource {
  const overview = source.overviews[level - 1];
  if (!overview) {
    throw new UnsupportedImageError(
      `there is no level ${level}: the image has ${source.overviews.length + 1}, from 0`,
    );
  }
  const { size, facts } = source;
  const mpp = facts.mpp && {
    x: (facts.mpp.x * size.width) / overview.size.width,
    y: (facts.mpp.y * size.height) / overview.size.height,
  };
  return withMembers(source, {
    size: overview.size,
    facts: { ...facts, fullSize: size, mpp },
    overviews: source.overviews.slice(level),
    readRegion: (rect, signal) => overview.readRegion(rect, signal),
  });
}

/**
 * Makes intensities of an image's values where the user gave no range: by the range of the model's training data,
 * if that is of the same type, or else by the range of their type.
 * @throws UnsupportedImageError for values whose type has none
 */
export function toIntensities(source: ImageSource, trainingRange?: TypedRange): ImageSource {
  const type = storedTypeOf(source.facts);
  if (trainingRange?.type === type) return scaleToRange(source, trainingRange.range);
  const own = rangeOfType(type);
  if (own === null) {
    throw new UnsupportedImageError(
      `the image has ${type} values: set range (--range) to those of black and white, such as 0,1`,
    );
  }
  const view = source.facts.dtype === 'float32' ? scaleToRange(source, own) : source;
  if (!trainingRange) return view;
  const note =
    `the model was trained on ${trainingRange.type} values, ${trainingRange.range.join(' to ')}; this image holds ${type}, ` +
    `read as ${own.join(' to ')}: set range (--range) to change that`;
  return withFacts(view, { notes: [...view.facts.notes, note] });
}

/**
 * Selects the channels that are requested, in their order; for formats that always decode all of them.
 * @throws UnsupportedImageError for a channel that the image does not have
 */
export function selectChannels(
  source: ImageSource,
  options: Pick<OpenOptions, 'channels' | 'wanted'>,
): ImageSource {
  const { facts } = source;
  const chosen = chooseChannels(options, facts.channelNames, facts.channels);
  if (!chosen) return source;
  const select = ({ data, width, height, channels }: Raster): Raster => {
    const values = new (data.constructor as typeof Uint8Array)(width * height * chosen.length);
    for (const [to, from] of chosen.entries()) {
      for (let i = 0; i < width * height; i++) values[i * chosen.length + to] = data[i * channels + from]!;
    }
    return { data: values, width, height, channels: chosen.length };
  };
  const reader = (inner: PixelReader): PixelReader => ({
    size: inner.size,
    readRegion: async (rect, signal) => select(await inner.readRegion(rect, signal)),
  });
  return withMembers(source, {
    ...reader(source),
    facts: {
      ...facts,
      channels: chosen.length,
      channelNames: facts.channelNames && chosen.map((i) => facts.channelNames![i]!),
      channelIndexes: chosen,
    },
    overviews: source.overviews.map(reader),
  });
}
