import type { Card } from '../../model/card.js';
import { learntRange } from '../../model/card.js';
import { NORMALISATION } from '../../model/pixels.js';
import { runs } from '../../tiling/geometry.js';
import { ranged, rangeOfType, storedTypeOf } from '../../tiling/intensities.js';
import type { ValueRange } from '../../tiling/raster.js';
import type { ImageSource } from '../../tiling/source.js';
import { inRange } from '../../tiling/sources/views.js';
import { RequestError } from '../contract/errors.js';
import { underfilled } from '../pipeline/intensity-warnings.js';

/**
 * Which stored values are black and white: `type` the range of their type, `auto` what the data set holds, a
 * range that is given, or that of a model that is scored or started from.
 */
export type RangeChoice = 'type' | 'auto' | ValueRange | { readonly of: Pick<Card, 'normalisation'> };

/** The share of values that `auto` cuts off at either end: a camera's dead and hot pixels. */
const CUT_SHARE = 0.001;
const MAX_BINS = 65536;

interface Pictured {
  readonly stem: string;
  readonly image: ImageSource;
}

/** Pictures as a network is shown them. */
export interface Intensities<Pair extends Pictured> {
  readonly pairs: readonly Pair[];
  /** As a card states it. */
  readonly normalisation: Card['normalisation'];
  /** The least and the greatest stored value of all pictures. */
  readonly extent: ValueRange;
  readonly warnings: readonly string[];
}

/**
 * Makes intensities of stored values, for all pictures by the same fixed range.
 * @throws RequestError for a range where pictures are stored in several types, and for a value that is no number
 * @throws UnsupportedImageError for values whose type has no range, where none is given
 */
export async function scaleIntensities<Pair extends Pictured>(
  stored: readonly Pair[],
  choice: RangeChoice,
): Promise<Intensities<Pair>> {
  const extents = await extentsOf(stored);
  const extent: ValueRange = [
    Math.min(...[...extents.values()].map(([least]) => least)),
    Math.max(...[...extents.values()].map(([, greatest]) => greatest)),
  ];
  const scaled = (image: (pair: Pair) => ImageSource): Pair[] =>
    stored.map((pair) => ({ ...pair, image: image(pair) }));
  if (choice === 'type' || (choice !== 'auto' && 'of' in choice)) {
    const learnt = choice === 'type' ? undefined : learntRange(choice.of);
    const pairs = scaled(({ image }) => inRange(image, learnt));
    const warnings = new Set(
      pairs.flatMap(({ image }, i) => image.facts.notes.slice(stored[i]!.image.facts.notes.length)),
    );
    for (const [type, found] of extents) {
      const used = learnt?.type === type ? learnt.range : rangeOfType(type)!;
      for (const warning of underfilled(found, used)) warnings.add(warning);
    }
    return { pairs, normalisation: learnt ?? NORMALISATION, extent, warnings: [...warnings] };
  }
  const [type, other] = [...extents.keys()] as [string, string | undefined];
  if (other !== undefined) {
    throw new RequestError(
      'bad-data',
      `some images hold ${type} values, others ${other}, and one range cannot be right for both: store all alike`,
    );
  }
  const range = choice === 'auto' ? await robustRange(stored, extent, type) : choice;
  const normalisation = { range: [...range] as [number, number], type };
  const pairs = scaled(({ image }) => ranged(image, range));
  return { pairs, normalisation, extent, warnings: underfilled(extent, range) };
}

/** The least and the greatest value of each type that pictures are stored in. */
async function extentsOf(pairs: readonly Pictured[]): Promise<Map<string, ValueRange>> {
  const extents = new Map<string, ValueRange>();
  for (const { stem, image } of pairs) {
    const type = storedTypeOf(image.facts);
    let [least, greatest] = extents.get(type) ?? [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for await (const { data } of bandsOf(image)) {
      for (let at = 0; at < data.length; at++) {
        const value = data[at]!;
        if (!Number.isFinite(value)) {
          const must = 'floating-point values must all be numbers; replace what is missing';
          throw new RequestError('bad-data', `image ${stem} has the value ${value}: ${must}`);
        }
        if (value < least) least = value;
        if (value > greatest) greatest = value;
      }
    }
    extents.set(type, [least, greatest]);
  }
  return extents;
}

/** The values between which all but the darkest and the brightest thousandth lie. */
async function robustRange(
  pairs: readonly Pictured[],
  [least, greatest]: ValueRange,
  type: string,
): Promise<ValueRange> {
  if (!(greatest > least)) {
    throw new RequestError(
      'bad-data',
      `every value of every image is ${least}: there is no range to be found`,
    );
  }
  // integers are counted one by one, as long as there are not too many
  const whole = type.includes('int') && greatest - least < MAX_BINS;
  const bins = whole ? greatest - least + 1 : MAX_BINS;
  const width = whole ? 1 : (greatest - least) / (bins - 1);
  const counts = new Float64Array(bins);
  let all = 0;
  for (const { image } of pairs) {
    for await (const { data } of bandsOf(image)) {
      for (let at = 0; at < data.length; at++) counts[Math.round((data[at]! - least) / width)]!++;
      all += data.length;
    }
  }
  const cut = all * CUT_SHARE;
  const from = (order: readonly number[]): number => {
    let passed = 0;
    return order.find((bin) => (passed += counts[bin]!) > cut)!;
  };
  const places = Array.from({ length: bins }, (_, bin) => bin);
  const [low, high] = [from(places), from(places.reverse())];
  // of pictures that are nearly all of one value, the few others are what there is to be seen
  return low < high ? [least + low * width, least + high * width] : [least, greatest];
}

/** An image from top to bottom, some rows at a time. */
export async function* bandsOf(source: ImageSource) {
  const { width, height } = source.size;
  for (const { start, stop } of runs({ start: 0, stop: height }, 512)) {
    yield await source.readRegion({ x: 0, y: start, width, height: stop - start });
  }
}
