import { CorruptImageError } from './errors.js';
import type { Rect, Size } from './geometry.js';
import type { Raster, ValueRange } from './raster.js';
import { type ImageFacts, type ImageSource, type PixelReader, withMembers } from './source.js';

/** Ranges of the types whose values all are intensities; values of other types can mean anything. */
const TYPE_RANGES: Record<string, ValueRange> = { uint8: [0, 255], uint16: [0, 65535], int8: [-128, 127] };

/** The type of an image's stored values. */
export const storedTypeOf = ({ dtype, storedType }: Pick<ImageFacts, 'dtype' | 'storedType'>): string =>
  storedType ?? dtype;

/** The range of a stored type; null where it has none: floats, and signed integers of 16 bits and more. */
export const rangeOfType = (type: string): ValueRange | null => TYPE_RANGES[type] ?? null;

/** Scales an image's values from `low` to `high` to 0 to 1; values outside are clamped. */
export function scaleToRange(source: ImageSource, range: ValueRange): ImageSource {
  const [low, high] = range;
  const storedType = storedTypeOf(source.facts);
  const isFloat = storedType.startsWith('float');
  const scale = ({ data, ...raster }: Raster, at: Rect): Raster => {
    const values = new Float32Array(data.length);
    const factor = 1 / (high - low);
    for (let i = 0; i < values.length; i++) {
      const value = data[i]!;
      if (isFloat && !Number.isFinite(value)) throw notANumber(value, i, at, raster.channels);
      values[i] = Math.min(1, Math.max(0, (value - low) * factor));
    }
    return { ...raster, data: values };
  };
  const reader = (inner: PixelReader): PixelReader => ({
    size: inner.size,
    readRegion: async (rect, signal) => scale(await inner.readRegion(rect, signal), rect),
  });
  return withMembers(source, {
    ...reader(source),
    facts: { ...source.facts, dtype: 'float32', storedType, range },
    stored: { size: source.size, readRegion: (rect, signal) => source.readRegion(rect, signal) },
    overviews: source.overviews.map(reader),
  });
}

/** The same image, of whose floats each has to be a number. Others are as they are. */
export function requireFinite(source: ImageSource): ImageSource {
  if (!storedTypeOf(source.facts).startsWith('float')) return source;
  const checked = (inner: PixelReader): PixelReader => ({
    size: inner.size,
    readRegion: async (rect, signal) => {
      const raster = await inner.readRegion(rect, signal);
      for (let i = 0; i < raster.data.length; i++) {
        const value = raster.data[i]!;
        if (!Number.isFinite(value)) throw notANumber(value, i, rect, raster.channels);
      }
      return raster;
    },
  });
  return withMembers(source, { ...checked(source), overviews: source.overviews.map(checked) });
}

/** The error for NaN and infinities, with their place in the image. */
export function notANumber(
  value: number,
  index: number,
  { x, y, width }: Rect,
  channels: number,
): CorruptImageError {
  const pixel = Math.floor(index / channels);
  const place = `column ${x + (pixel % width)}, row ${y + Math.floor(pixel / width)}`;
  const channel = channels > 1 ? `, channel ${index % channels}` : '';
  return new CorruptImageError(
    `the image has ${value} at ${place}${channel}: floating-point values must all be numbers; replace missing ones`,
  );
}

/** Regions per side of the grid that is sampled. */
const GRID = 8;
/** Side of a sampled region, and height of the strips in which a small image is read, in px. */
const REGION_PX = 64;
/** An image, or a level of a pyramid, with no more px is sampled as a whole. */
const WHOLE_PX = (GRID * REGION_PX) ** 2;

/**
 * Samples the least and the greatest value of an image: over its smallest level or, where that is large, over a
 * grid of small regions. Deterministic; at most 262,144 px are read.
 * @param isEnough whether no further regions need to be read, given the values so far
 */
export async function sampleValues(
  source: ImageSource,
  isEnough: (range: ValueRange) => boolean,
  signal?: AbortSignal,
): Promise<ValueRange> {
  const reader = source.overviews.at(-1) ?? source;
  let [least, greatest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const rect of regionsOf(reader.size)) {
    const [low, high] = extremesOf((await reader.readRegion(rect, signal)).data);
    least = Math.min(least, low);
    greatest = Math.max(greatest, high);
    if (isEnough([least, greatest])) break;
  }
  return [least, greatest];
}

function extremesOf(data: Raster['data']): ValueRange {
  let [least, greatest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  return [least, greatest];
}

/** The sampled regions, row by row, as files store them. */
function regionsOf({ width, height }: Size): Rect[] {
  if (width * height <= WHOLE_PX) {
    const strips = Math.ceil(height / REGION_PX);
    return Array.from({ length: strips }, (_, i) => {
      const y = i * REGION_PX;
      return { x: 0, y, width, height: Math.min(REGION_PX, height - y) };
    });
  }
  const starts = (length: number): number[] => {
    if (length <= REGION_PX) return [0];
    const last = length - REGION_PX;
    return [...new Set(Array.from({ length: GRID }, (_, i) => Math.round((i * last) / (GRID - 1))))];
  };
  const size = { width: Math.min(width, REGION_PX), height: Math.min(height, REGION_PX) };
  return starts(height).flatMap((y) => starts(width).map((x) => ({ x, y, ...size })));
}
