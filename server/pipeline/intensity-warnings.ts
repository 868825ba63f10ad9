import { rangeOfType, sampleValues, storedTypeOf } from '../../tiling/intensities.js';
import type { ValueRange } from '../../tiling/raster.js';
import type { ImageFacts, ImageSource } from '../../tiling/source.js';

/** Intensities that fill less of their range are nearly one to a network. */
const LEAST_FILLED = 0.1;

/** Looks at a sample of an image's intensities, and says what its user should know of them. */
export async function intensityWarnings(image: ImageSource, signal?: AbortSignal): Promise<string[]> {
  const used = usedRange(image.facts);
  if (used === null) return [];
  const [least, greatest] = await sampleValues(image, signal);
  // a range has made them 0 to 1; words are about what is stored
  const stored = (value: number) => (image.facts.range ? used[0] + value * (used[1] - used[0]) : value);
  return underfilled([stored(least), stored(greatest)], used, 'range=');
}

/** The values that are black and white to a network. */
export const usedRange = (facts: Pick<ImageFacts, 'range' | 'dtype' | 'storedType'>): ValueRange | null =>
  facts.range ?? rangeOfType(storedTypeOf(facts));

/**
 * A warning with its remedy where values fill less than a tenth of the range that is used.
 * @param option how a range is given, such as `range=`
 */
export function underfilled(
  [least, greatest]: ValueRange,
  [low, high]: ValueRange,
  option: string,
): string[] {
  if (!((greatest - least) / (high - low) < LEAST_FILLED)) return [];
  const given = `${low} to ${high}`;
  if (least === greatest) {
    const edge = least <= low || least >= high ? ', or beyond it' : '';
    return [
      `every value that was looked at is ${words(least)}, in a range of ${given}${edge}: the image shows nothing`,
    ];
  }
  // nearly black is black; an image of bright values alone keeps its own black
  const black = least - low < (greatest - low) / 4 ? low : least;
  return [
    `values reach from ${words(least)} to ${words(greatest)} in a range of ${given}, which is nearly one gray to the ` +
      `network: give ${option}${words(black)},${words(greatest)}`,
  ];
}

const words = (value: number): string => String(Number(value.toPrecision(5)));
