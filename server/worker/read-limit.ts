import type { ImageSource, PixelReader } from '../../tiling/source.js';

/**
 * An image whose reads are timed: `stuck` is called with one that takes longer than it may. A read that hangs
 * in native code cannot be ended from within its process, only with it.
 */
export function withReadLimit(
  source: ImageSource,
  limitMs: number,
  stuck: (why: string) => void,
): ImageSource {
  const timed = (reader: PixelReader): PixelReader => ({
    size: reader.size,
    async readRegion(rect, signal) {
      const { x, y, width, height } = rect;
      const why = `reading ${width}×${height} px at ${x},${y} took longer than ${limitMs / 1000} s`;
      const timer = setTimeout(() => stuck(why), limitMs);
      try {
        return await reader.readRegion(rect, signal);
      } finally {
        clearTimeout(timer);
      }
    },
  });
  return {
    ...source,
    ...timed(source),
    overviews: source.overviews.map(timed),
    close: () => source.close(),
  };
}
