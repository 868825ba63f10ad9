import type { Rect } from '../geometry.js';
import { pixelArray, type Raster } from '../raster.js';
import type { ImageSource } from '../source.js';

/** Makes an image of pixels in memory. */
export function memorySource(raster: Raster): ImageSource {
  const { channels, width, height } = raster;
  const { data: all } = raster;
  const dtype = all instanceof Uint8Array ? 'uint8' : all instanceof Uint16Array ? 'uint16' : 'float32';
  return {
    size: { width, height },
    facts: { channels, dtype, channelNames: null, mpp: null, notes: [] },
    overviews: [],
    async readRegion(rect: Rect, signal?: AbortSignal): Promise<Raster> {
      signal?.throwIfAborted();
      const data = pixelArray(dtype, rect.width * rect.height * channels);
      const length = rect.width * channels;
      for (let row = 0; row < rect.height; row++) {
        const from = ((rect.y + row) * width + rect.x) * channels;
        data.set(raster.data.subarray(from, from + length), row * length);
      }
      return { data, width: rect.width, height: rect.height, channels };
    },
    async close() {},
  };
}
