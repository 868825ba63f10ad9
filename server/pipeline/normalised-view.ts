import type { ChannelConversion } from '../../model/network/pixels.js';
import type { TileScale } from '../../model/network/tile-scale.js';
import type { Raster } from '../../tiling/raster.js';
import { type ImageSource, type PixelReader, withMembers } from '../../tiling/source.js';
import { luminanceOf } from './normalisation.js';

/**
 * An image in the values that a network sees, as floats: they are rounded as the graph rounds them that is fed with the
 * scale. So training and evaluation, which read images so, see the bits that serving computes with.
 */
export function normalisedView(
  source: ImageSource,
  scale: TileScale,
  conversion: ChannelConversion,
): ImageSource {
  const { shift, factor, low, high } = scale;
  const channels = shift.length;
  const scaled = ({ data, width, height, ...raster }: Raster): Raster => {
    const values = new Float32Array(width * height * channels);
    for (let i = 0; i < values.length; i++) {
      const c = i % channels;
      const stored = data[conversion === 'copied' ? (i - c) / channels : i]!;
      const x = Math.fround(Math.fround(stored - shift[c]!) * factor[c]!);
      values[i] = Math.min(Math.max(x, low[c]!), high[c]!);
    }
    return { ...raster, data: values, width, height, channels };
  };
  const reader = (inner: PixelReader): PixelReader => {
    const read = conversion === 'luminance' ? luminanceOf(inner) : inner;
    return {
      size: inner.size,
      readRegion: async (rect, signal) => scaled(await read.readRegion(rect, signal)),
    };
  };
  return withMembers(source, {
    ...reader(source),
    facts: { ...source.facts, dtype: 'float32', channels },
    overviews: source.overviews.map(reader),
  });
}
