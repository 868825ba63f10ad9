import {
  isStatistical,
  isTypeRange,
  type Normalisation,
  needsStatistics,
  readsIntensities,
  type StatisticalStep,
} from '../../model/network/normalisation.js';
import { type ChannelConversion, LUMA } from '../../model/network/pixels.js';
import {
  mapsOf,
  SCALE_PARTS,
  type StatisticPair,
  scaleOf,
  type TileScale,
} from '../../model/network/tile-scale.js';
import { type Card, normalisationOf } from '../../model/shelf/card.js';
import type { Dtype, Raster } from '../../tiling/raster.js';
import type { ImageSource, PixelReader } from '../../tiling/source.js';
import type { CountedImage } from '../../tiling/statistics/blocks.js';
import { ImageStatistics, type MeasuredGroup } from '../../tiling/statistics/statistics.js';
import { RequestError } from '../contract/errors.js';
import type { WorkSpec } from '../contract/job-spec.js';
import type { Receipt } from '../contract/receipt.js';
import { type GivenStatistics, givenOf, type StatisticsRequest } from '../contract/statistics.js';
import type { Predict } from './segment.js';

/** How the values of an image become a network's input, beyond the division by the maximum of their type. */
export interface ImageNormalisation {
  /** What is fed with each of its tiles. */
  readonly tileScale: TileScale;
  /** Null for a normalisation that is the same for all images. */
  readonly statistics: Receipt['statistics'];
  readonly warnings: readonly string[];
}

export interface NormalisationRequest {
  readonly card: Pick<Card, 'name' | 'normalisation' | 'inputChannels' | 'channels'>;
  readonly conversion: ChannelConversion;
  /** The level of the file that the image is. Default 0. */
  readonly level?: number | undefined;
  /** Default: they are measured on that level. */
  readonly statistics?: StatisticsRequest | undefined;
  /** Those of an earlier run with the same image and model, which need not be measured again. Default none. */
  readonly known?: Receipt['statistics'];
  readonly signal?: AbortSignal | undefined;
  /** Called with the px of a pass over the image that were counted, and all of them. */
  readonly onProgress?: (pixelsDone: number, pixels: number) => void;
}

/** What values are divided by to become intensities, by their type; see `rangeOf`. */
const UNITS: Record<Dtype, number> = { uint8: 255, uint16: 65535, float32: 1 };

/**
 * How the values of an image are normalised for a model; null where they are divided by the maximum of their type alone,
 * which graphs do without any. Statistics are measured in passes over one level, or given.
 *
 * @throws RequestError for statistics that the model does not take, or a level that the image does not have
 * @throws CorruptImageError for NaN and infinite values
 */
export async function normalisationFor(
  image: ImageSource,
  request: NormalisationRequest,
): Promise<ImageNormalisation | null> {
  const { card, statistics: requested = {} } = request;
  const steps = normalisationOf(card);
  if (isTypeRange(steps)) return null;
  const unit = UNITS[image.facts.dtype];
  const channels = card.inputChannels;
  if (!needsStatistics(steps)) {
    return { tileScale: scaleOf(mapsOf(steps, channels, unit, [])), statistics: null, warnings: [] };
  }
  const names = channelNamesOf(card);
  const level = requested.given ? null : (requested.level ?? request.level ?? 0);
  const { known } = request;
  const earlier = known && known.level === level && !requested.given ? givenOf(known) : undefined;
  const given = requested.given ?? earlier;
  const pairs = given
    ? givenPairs(given, steps.filter(isStatistical), names)
    : await measure(image, steps, unit, request);
  return {
    tileScale: scaleOf(mapsOf(steps, channels, unit, pairs)),
    statistics: {
      level,
      steps: steps.filter(isStatistical).map(({ step }) => step),
      channels: names.map((name, c) => ({ name, values: pairs.flatMap((list) => [...list[c]!]) })),
    },
    warnings: names.filter((_, c) => isBlank(steps, pairs, c)).map(blankWarning),
  };
}

/** Predicts tiles with the scale of their image. */
export const withTileScale =
  (predict: Predict, scale: TileScale): Predict =>
  (tile, output, signal) =>
    predict({ ...tile, scale }, output, signal);

/** A scale as text: the same for equal ones. */
export const textOf = (scale: TileScale): string =>
  JSON.stringify(SCALE_PARTS.map((part) => [...scale[part]]));

/** @throws RequestError for statistics of a model that takes none, and a range for one that reads values as stored */
export function checkNormalisation(
  { statistics, choice }: Partial<Pick<WorkSpec, 'statistics' | 'choice'>>,
  card: Pick<Card, 'name' | 'normalisation'>,
): void {
  const steps = normalisationOf(card);
  if (choice?.range && !readsIntensities(steps)) {
    const own = steps.map(({ step }) => step).join(', ');
    const does =
      own === '' ? 'reads values as they are stored' : `normalises stored values by itself (${own})`;
    throw new RequestError('bad-request', `parameter "range": model ${card.name} ${does}: leave it out`);
  }
  if (statistics === undefined || needsStatistics(steps)) return;
  throw refusal(`model ${card.name} normalises without statistics of the image: leave it out`);
}

const refusal = (reason: string): RequestError =>
  new RequestError('bad-request', `parameter "stats": ${reason}`);

/** The channels of a model's input, by name. */
function channelNamesOf({ channels, inputChannels }: NormalisationRequest['card']): string[] {
  if (channels) return channels.map(({ name }) => name);
  if (inputChannels === 3) return ['red', 'green', 'blue'];
  return inputChannels === 1 ? ['gray'] : Array.from({ length: inputChannels }, (_, i) => String(i));
}

/** Measures the statistics of each step, of the values as the steps before leave them. */
async function measure(
  image: ImageSource,
  steps: Normalisation,
  unit: number,
  request: NormalisationRequest,
): Promise<StatisticPair[][]> {
  const { card, conversion } = request;
  const { inputChannels } = card;
  const counted = countedImage(image, request);
  const statistics = new ImageStatistics(counted);
  const { channels } = counted.facts;
  const pairs: StatisticPair[][] = [];
  for (const [i, step] of steps.entries()) {
    if (!isStatistical(step)) continue;
    const maps = mapsOf(steps, inputChannels, unit, pairs, i);
    const each = maps.slice(0, channels).map((map, c): MeasuredGroup => ({ channels: [c], map }));
    const all = { channels: each.map((_, c) => c), map: maps[0]! };
    const statistic = step.step === 'scale_range' ? { percentiles: step.percentiles } : ('moments' as const);
    const found = await statistics.measure(statistic, step.of === 'image' ? [all] : each);
    const isOne = step.of === 'image' || conversion === 'copied';
    pairs.push(maps.map((_, c) => found[isOne ? 0 : c]!));
  }
  return pairs;
}

/** The level that is measured, in the channels that the network sees. */
function countedImage(image: ImageSource, request: NormalisationRequest): CountedImage {
  const { conversion, level: own = 0, statistics = {}, signal, onProgress } = request;
  const { level = own } = statistics;
  const stored = level === own ? image : image.overviews[level - own - 1];
  if (!stored || level < own) {
    const last = own + image.overviews.length;
    throw refusal(`there is no level ${level}: expected one from ${own} to ${last}`);
  }
  const isGray = conversion === 'luminance';
  const reader = isGray ? luminanceOf(stored) : stored;
  const { channels, dtype } = image.facts;
  const pixels = reader.size.width * reader.size.height;
  return {
    reader,
    facts: isGray ? { channels: 1, dtype: 'float32' } : { channels, dtype },
    signal,
    onProgress: (pixelsDone) => onProgress?.(pixelsDone, pixels),
  };
}

/** Gray of RGB, rounded as the network sees it. */
export function luminanceOf(reader: PixelReader): PixelReader {
  const [red, green, blue] = LUMA.map(Math.fround) as [number, number, number];
  const gray = ({ data, width, height }: Raster): Raster => {
    const values = new Float32Array(width * height);
    for (let i = 0, at = 0; i < values.length; i++, at += 3) {
      const sum = Math.fround(Math.fround(data[at]! * red) + Math.fround(data[at + 1]! * green));
      values[i] = sum + Math.fround(data[at + 2]! * blue);
    }
    return { data: values, width, height, channels: 1 };
  };
  return {
    size: reader.size,
    readRegion: async (rect, signal) => gray(await reader.readRegion(rect, signal)),
  };
}

/** The numbers of each channel, for each step. @throws RequestError */
function givenPairs(
  given: readonly GivenStatistics[],
  steps: readonly StatisticalStep[],
  names: readonly string[],
): StatisticPair[][] {
  const expected = 2 * steps.length;
  const unknown = given.find(({ channel }) => channel !== null && indexOf(names, channel) < 0);
  if (unknown) throw refusal(`the model has no channel "${unknown.channel}": it has ${names.join(', ')}`);
  const values = names.map((name, c) => {
    const own = given.filter(({ channel }) => channel === null || indexOf(names, channel) === c);
    if (own.length !== 1)
      throw refusal(`expected the numbers of channel ${name} once, and there are ${own.length}`);
    if (own[0]!.values.length !== expected)
      throw refusal(`expected ${expected} numbers of channel ${name}, such as ${name}=112:8040`);
    return own[0]!.values;
  });
  return steps.map((step, i) =>
    values.map((list, c): StatisticPair => {
      const [first, second] = [list[2 * i]!, list[2 * i + 1]!];
      if (step.step === 'scale_range' && first > second)
        throw refusal(`${first} is above ${second}: expected the lower value of ${names[c]} first`);
      if (step.step !== 'scale_range' && second < 0)
        throw refusal(`the deviation of channel ${names[c]} is ${second}: expected at least 0`);
      return [first, second];
    }),
  );
}

/** A channel's place, by its name in any case, or its number. */
function indexOf(names: readonly string[], channel: string): number {
  const found = names.findIndex((name) => name.toLowerCase() === channel.toLowerCase());
  return found < 0 && /^\d{1,2}$/.test(channel) && Number(channel) < names.length ? Number(channel) : found;
}

/** Whether a step divides a channel by nothing but what is added to its divisor. */
function isBlank(
  steps: Normalisation,
  pairs: readonly (readonly StatisticPair[])[],
  channel: number,
): boolean {
  return steps.filter(isStatistical).some(({ step }, i) => {
    const [first, second] = pairs[i]![channel]!;
    return step === 'scale_range' ? first === second : second === 0;
  });
}

const blankWarning = (name: string): string =>
  `channel ${name} has the same value (nearly) everywhere, and is normalised by that: its structure, if any, is noise`;
