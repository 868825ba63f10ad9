import { NORMALISATION } from '../../../model/network/pixels.js';
import type { Card } from '../../../model/shelf/card.js';
import { trainingRangeOf } from '../../../model/shelf/card.js';
import { runs } from '../../../tiling/geometry.js';
import { rangeOfType, scaleToRange, storedTypeOf } from '../../../tiling/intensities.js';
import type { ValueRange } from '../../../tiling/raster.js';
import type { ImageSource } from '../../../tiling/source.js';
import { toIntensities } from '../../../tiling/sources/views.js';
import { RequestError } from '../../contract/errors.js';
import { underfillWarnings } from '../../pipeline/intensity-warnings.js';

/**
 * Which stored values are black and white: `type` for the range of their type, `auto` for that of the data set, a
 * range such as `[0, 4095]`, or that of a model to evaluate or to start from.
 */
export type RangeChoice = 'type' | 'auto' | ValueRange | { readonly of: Pick<Card, 'normalisation'> };

/** The share of values that `auto` clips at either end, such as a camera's dead and hot pixels. */
const CLIPPED_SHARE = 0.001;
const MAX_BINS = 65536;

interface StoredImage {
  readonly stem: string;
  readonly image: ImageSource;
}

/** Images with the intensities that a network sees. */
export interface Intensities<Pair extends StoredImage> {
  readonly pairs: readonly Pair[];
  /** As a card states it. */
  readonly normalisation: Card['normalisation'];
  /** The least and the greatest stored value of all images. */
  readonly extent: ValueRange;
  readonly warnings: readonly string[];
}

/**
 * Scales stored values to intensities, by one fixed range for all images.
 * @throws RequestError `bad-data` for a range and images of several types, and for NaN and infinite values
 * @throws UnsupportedImageError for a type without a range, unless one is given
 */
export async function scaleIntensities<Pair extends StoredImage>(
  stored: readonly Pair[],
  choice: RangeChoice,
): Promise<Intensities<Pair>> {
  const extents = await extentsOf(stored);
  const extent: ValueRange = [
    Math.min(...[...extents.values()].map(([least]) => least)),
    Math.max(...[...extents.values()].map(([, greatest]) => greatest)),
  ];
  const scale = (image: (pair: Pair) => ImageSource): Pair[] =>
    stored.map((pair) => ({ ...pair, image: image(pair) }));
  if (choice === 'type' || (choice !== 'auto' && 'of' in choice)) {
    const trainingRange = choice === 'type' ? undefined : trainingRangeOf(choice.of);
    const pairs = scale(({ image }) => toIntensities(image, trainingRange));
    const warnings = new Set(
      pairs.flatMap(({ image }, i) => image.facts.notes.slice(stored[i]!.image.facts.notes.length)),
    );
    for (const [type, found] of extents) {
      const used = trainingRange?.type === type ? trainingRange.range : rangeOfType(type)!;
      for (const warning of underfillWarnings(found, used)) warnings.add(warning);
    }
    return { pairs, normalisation: trainingRange ?? NORMALISATION, extent, warnings: [...warnings] };
  }
  const [type = '', other] = extents.keys();
  if (other !== undefined) {
    throw new RequestError(
      'bad-data',
      `some images hold ${type} values, others ${other}, and one range cannot suit both: store all in one type`,
    );
  }
  const range = choice === 'auto' ? await robustRange(stored, extent, type) : choice;
  const normalisation = { range: [range[0], range[1]] satisfies [number, number], type };
  const pairs = scale(({ image }) => scaleToRange(image, range));
  return { pairs, normalisation, extent, warnings: underfillWarnings(extent, range) };
}

/** The least and the greatest value of each stored type. */
async function extentsOf(pairs: readonly StoredImage[]): Promise<Map<string, ValueRange>> {
  const extents = new Map<string, ValueRange>();
  for (const { stem, image } of pairs) {
    const type = storedTypeOf(image.facts);
    let [least, greatest] = extents.get(type) ?? [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for await (const { data } of bandsOf(image)) {
      for (let at = 0; at < data.length; at++) {
        const value = data[at]!;
        if (!Number.isFinite(value)) {
          throw new RequestError(
            'bad-data',
            `image ${stem} has the value ${value}: all values must be finite; replace missing ones`,
          );
        }
        if (value < least) least = value;
        if (value > greatest) greatest = value;
      }
    }
    extents.set(type, [least, greatest]);
  }
  return extents;
}

/** The range of values without the darkest and the brightest thousandth. */
async function robustRange(
  pairs: readonly StoredImage[],
  [least, greatest]: ValueRange,
  type: string,
): Promise<ValueRange> {
  if (!(greatest > least)) {
    throw new RequestError(
      'bad-data',
      `every value of every image is ${least}: --range auto needs different values`,
    );
  }
  // each integer has its own bin if there are few enough
  const isExact = type.includes('int') && greatest - least < MAX_BINS;
  const bins = isExact ? greatest - least + 1 : MAX_BINS;
  const width = isExact ? 1 : (greatest - least) / (bins - 1);
  const counts = new Float64Array(bins);
  let total = 0;
  for (const { image } of pairs) {
    for await (const { data } of bandsOf(image)) {
      for (let at = 0; at < data.length; at++) counts[Math.round((data[at]! - least) / width)]!++;
      total += data.length;
    }
  }
  const clipped = total * CLIPPED_SHARE;
  const firstBeyond = (order: readonly number[]): number => {
    let passed = 0;
    return order.find((bin) => (passed += counts[bin]!) > clipped)!;
  };
  const ascending = Array.from({ length: bins }, (_, bin) => bin);
  const [low, high] = [firstBeyond(ascending), firstBeyond(ascending.toReversed())];
  // if nearly all pixels have the same value, the few others are what matters
  return low < high ? [least + low * width, least + high * width] : [least, greatest];
}

/** Reads an image from top to bottom in bands of 512 rows. */
export async function* bandsOf(source: ImageSource) {
  const { width, height } = source.size;
  for (const { start, stop } of runs({ start: 0, stop: height }, 512)) {
    yield await source.readRegion({ x: 0, y: start, width, height: stop - start });
  }
}
