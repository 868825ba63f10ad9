import { type ImageSource, type PixelReader, withMembers } from '../../tiling/source.js';

/** How long it may take to open an image, and to read a piece of it, in ms. */
export interface ImageLimits {
  readonly openMs: number;
  readonly readMs: number;
}

/**
 * An image that is timed while it is opened, and while it is read: `stuck` is called where either takes longer
 * than it may. What hangs in native code cannot be ended from within its process, only with it.
 */
export async function withLimits(
  opening: Promise<ImageSource>,
  { openMs, readMs }: ImageLimits,
  stuck: (why: string) => void,
): Promise<ImageSource> {
  const within = async <Value>(ms: number, what: string, work: Promise<Value>): Promise<Value> => {
    const timer = setTimeout(() => stuck(`${what} took longer than ${ms / 1000} s`), ms);
    return work.finally(() => clearTimeout(timer));
  };
  const source = await within(openMs, 'opening the image', opening);
  const timed = (reader: PixelReader): PixelReader => ({
    size: reader.size,
    async readRegion(rect, signal) {
      const { x, y, width, height } = rect;
      const what = `reading ${width}×${height} px at ${x},${y}`;
      return within(readMs, what, reader.readRegion(rect, signal));
    },
  });
  return withMembers(source, { ...timed(source), overviews: source.overviews.map(timed) });
}
