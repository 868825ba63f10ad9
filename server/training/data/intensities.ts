import { isTypeRange } from '../../../model/network/normalisation.js';
import { channelConversion, NORMALISATION } from '../../../model/network/pixels.js';
import { type Card, normalisationOf, trainingRangeOf } from '../../../model/shelf/card.js';
import { runs } from '../../../tiling/geometry.js';
import { rangeOfType, scaleToRange, storedTypeOf } from '../../../tiling/intensities.js';
import type { ValueRange } from '../../../tiling/raster.js';
import type { ImageSource } from '../../../tiling/source.js';
import { selectChannels, toIntensities } from '../../../tiling/sources/views.js';
import { RequestError } from '../../contract/errors.js';
import { underfillWarnings } from '../../pipeline/intensity-warnings.js';
import { normalisationFor } from '../../pipeline/normalisation.js';
import { normalisedView } from '../../pipeline/normalised-view.js';
import type { NetworkInput } from './image-channels.js';

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
  input: NetworkInput,
): Promise<Intensities<Pair>> {
  const extents = await extentsOf(stored);
  const extent: ValueRange = [
    Math.min(...[...extents.values()].map(([least]) => least)),
    Math.max(...[...extents.values()].map(([, greatest]) => greatest)),
  ];
  const scale = (image: (pair: Pair) => ImageSource): Pair[] =>
    stored.map((pair) => ({ ...pair, image: image(pair) }));
  if (typeof choice === 'object' && 'of' in choice && !isTypeRange(normalisationOf(choice.of))) {
    return scaleAsModel(stored, choice.of, input, extent);
  }
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
  if (choice === 'auto' && input.channels) return scaleEachChannel(stored, input, extent);
  const range = choice === 'auto' ? await robustRange(stored, extent, type) : choice;
  const normalisation = { range: [range[0], range[1]] satisfies [number, number], type };
  const pairs = scale(({ image }) => scaleToRange(image, range));
  return { pairs, normalisation, extent, warnings: underfillWarnings(extent, range) };
}

/** Scales images as a model does that normalises by its own steps: by their statistics, where it takes these. */
async function scaleAsModel<Pair extends StoredImage>(
  stored: readonly Pair[],
  { normalisation }: Pick<Card, 'normalisation'>,
  { inputChannels }: NetworkInput,
  extent: ValueRange,
): Promise<Intensities<Pair>> {
  const card = { name: 'of these images', normalisation, inputChannels };
  const pairs: Pair[] = [];
  for (const pair of stored) {
    const conversion = channelConversion(pair.image.facts.channels, inputChannels)!;
    const own = await normalisationFor(pair.image, { card, conversion });
    pairs.push({ ...pair, image: normalisedView(pair.image, own!.tileScale, conversion) });
  }
  return { pairs, normalisation, extent, warnings: [] };
}

/** Scales each named channel by a range of its own, since those of markers differ; values beyond it are clipped. */
async function scaleEachChannel<Pair extends StoredImage>(
  stored: readonly Pair[],
  input: NetworkInput,
  extent: ValueRange,
): Promise<Intensities<Pair>> {
  const [low, high]: [number[], number[]] = [[], []];
  for (let c = 0; c < input.inputChannels; c++) {
    const one = stored.map((pair) => ({ ...pair, image: selectChannels(pair.image, { channels: [c] }) }));
    const [type = '', own] = [...(await extentsOf(one))][0]!;
    if (own[0] === own[1]) {
      const { name } = input.channels!.named[c]!;
      throw new RequestError(
        'bad-data',
        `every value of channel ${name} is ${own[0]}: leave it out of --image-channels`,
      );
    }
    const range = await robustRange(one, own, type);
    low.push(range[0]);
    high.push(range[1]);
  }
  const normalisation: Card['normalisation'] = [
    { step: 'scale_range', low, high },
    { step: 'clip', min: 0, max: 1 },
  ];
  return scaleAsModel(stored, { normalisation }, input, extent);
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
