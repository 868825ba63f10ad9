import { rangeOfType, sampleValues, storedTypeOf } from '../../tiling/intensities.js';
import type { ValueRange } from '../../tiling/raster.js';
import type { ImageFacts, ImageSource } from '../../tiling/source.js';

/** Share of the range below which intensities are nearly uniform to a network. */
const MIN_FILLED = 0.1;

/** Warnings about an image's intensities, from a sample of them that ends once they fill enough of the range. */
export async function intensityWarnings(image: ImageSource, signal?: AbortSignal): Promise<string[]> {
  const used = usedRange(image.facts);
  if (used === null) return [];
  // Sampled values are 0 to 1 where the image has a range; the warning names stored values.
  const stored = (value: number) => (image.facts.range ? used[0] + value * (used[1] - used[0]) : value);
  const storedRange = ([least, greatest]: ValueRange): ValueRange => [stored(least), stored(greatest)];
  const isEnough = (sampled: ValueRange) => isFilled(storedRange(sampled), used);
  return underfillWarnings(storedRange(await sampleValues(image, isEnough, signal)), used);
}

/** The stored values that are black and white to a network; null for floats without a range. */
export const usedRange = (facts: Pick<ImageFacts, 'range' | 'dtype' | 'storedType'>): ValueRange | null =>
  facts.range ?? rangeOfType(storedTypeOf(facts));

/**
 * A warning where values fill less than a tenth of the range in use, with its remedy: the parameter `range`, which is
 * `range=` in a request and `--range` on the command line.
 */
export function underfillWarnings(values: ValueRange, range: ValueRange): string[] {
  if (isFilled(values, range)) return [];
  const [[least, greatest], [low, high]] = [values, range];
  const given = `${low} to ${high}`;
  if (least === greatest) {
    const edge = least <= low || least >= high ? ', or beyond it' : '';
    return [
      `every sampled value is ${formatValue(least)}, in a range of ${given}${edge}: the image is blank`,
    ];
  }
  // The lower end of the range stays black, but for images of bright values only.
  const black = least - low < (greatest - low) / 4 ? low : least;
  return [
    `values reach from ${formatValue(least)} to ${formatValue(greatest)} in a range of ${given}, which is nearly uniform gray to the ` +
      `network: set range (--range) to ${formatValue(black)},${formatValue(greatest)}`,
  ];
}

const isFilled = ([least, greatest]: ValueRange, [low, high]: ValueRange): boolean =>
  !((greatest - least) / (high - low) < MIN_FILLED);

const formatValue = (value: number): string => String(Number(value.toPrecision(5)));
