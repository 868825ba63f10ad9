import { type ImageSource, type PixelReader, withMembers } from '../../tiling/source.js';

/** Time limits for opening an image, and for reading a region of it, in ms. */
export interface ImageLimits {
  readonly openMs: number;
  readonly readMs: number;
}

/**
 * Times how an image is opened, and each of its reads. Native code that hangs cannot be interrupted from within its
 * process, so nothing rejects: the process has to be terminated.
 *
 * @param onTimeout called with what took too long
 */
export async function withLimits(
  opening: Promise<ImageSource>,
  { openMs, readMs }: ImageLimits,
  onTimeout: (reason: string) => void,
): Promise<ImageSource> {
  const within = async <Value>(ms: number, what: string, work: Promise<Value>): Promise<Value> => {
    const timer = setTimeout(() => onTimeout(`${what} took longer than ${ms / 1000} s`), ms);
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
  const { stored, overviews } = source;
  return withMembers(source, {
    ...timed(source),
    overviews: overviews.map(timed),
    ...(stored && { stored: timed(stored) }),
  });
}
