import { at, isStatistical, type Normalisation, type StatisticalStep } from './normalisation.js';

/**
 * How values of tiles become a network's input: `min(max((value − shift) · factor, low), high)`. Each array has a number
 * for each tile and channel of the network's input, tile by tile.
 */
export interface TileScale {
  readonly shift: Float32Array;
  readonly factor: Float32Array;
  readonly low: Float32Array;
  readonly high: Float32Array;
}

/** The arrays of a scale, in the order in which they are fed. */
export const SCALE_PARTS = ['shift', 'factor', 'low', 'high'] as const satisfies readonly (keyof TileScale)[];

/** A map of one channel's values, in double precision: `min(max((value − shift) · factor, low), high)`. */
export interface ChannelMap {
  readonly shift: number;
  /** Not 0. */
  readonly factor: number;
  readonly low: number;
  readonly high: number;
}

/** What an image's statistics say of a channel: its low and high value, or its mean and deviation. */
export type StatisticPair = readonly [number, number];

const IDENTITY: ChannelMap = {
  shift: 0,
  factor: 1,
  low: Number.NEGATIVE_INFINITY,
  high: Number.POSITIVE_INFINITY,
};

/** The largest float: devices need not know infinities. */
const MAX_FLOAT = 3.4028234663852886e38;

/** The value of a map. */
export const mapped = ({ shift, factor, low, high }: ChannelMap, value: number): number =>
  Math.min(high, Math.max(low, (value - shift) * factor));

/** Whether a map clips no value. */
export const isUnbounded = ({ low, high }: ChannelMap): boolean =>
  low === Number.NEGATIVE_INFINITY && high === Number.POSITIVE_INFINITY;

/**
 * The steps of a normalisation as one map for each channel: steps are linear or clip, and those in a row are one of each.
 *
 * A value is shifted first and scaled then, as its steps do: a product would be rounded where it is large, and its
 * difference small.
 *
 * @param unit what values are divided by to become intensities, where the first step makes these; see `rangeOf`
 * @param statistics of the image, for each step that has them one pair for each channel
 * @param until how many steps are taken. Default all
 */
export function mapsOf(
  steps: Normalisation,
  channels: number,
  unit: number,
  statistics: readonly (readonly StatisticPair[])[],
  until = steps.length,
): ChannelMap[] {
  return Array.from({ length: channels }, (_, channel) => {
    let map = IDENTITY;
    let used = 0;
    for (const step of steps.slice(0, until)) {
      if (isStatistical(step)) {
        map = standardised(map, step, statistics[used++]![channel]!);
        continue;
      }
      switch (step.step) {
        case 'type-range':
          map = divided(map, 0, unit);
          break;
        case 'scale_linear':
          map = divided(map, -at(step.offset, channel) / at(step.gain, channel), 1 / at(step.gain, channel));
          break;
        case 'zero_mean_unit_variance':
          map = divided(map, at(step.mean, channel), at(step.deviation, channel));
          break;
        case 'scale_range': {
          const [low, high] = [at(step.low, channel), at(step.high, channel)];
          map = divided(map, low, high - low);
          break;
        }
        case 'clip':
          map = clipped(map, step.min, step.max);
          break;
      }
    }
    return map;
  });
}

/** A map, and the step that an image's statistics determine. */
function standardised(map: ChannelMap, step: StatisticalStep, [first, second]: StatisticPair): ChannelMap {
  const divisor = step.step === 'scale_range' ? second - first : second;
  return divided(map, first, divisor + step.eps);
}

/** A map, and then `(value − origin) / divisor`. */
function divided({ shift, factor, low, high }: ChannelMap, origin: number, divisor: number): ChannelMap {
  const [a, b] = [(low - origin) / divisor, (high - origin) / divisor];
  return {
    shift: shift + origin / factor,
    factor: factor / divisor,
    low: Math.min(a, b),
    high: Math.max(a, b),
  };
}

/** A map, and then a clip. */
function clipped({ low, high, ...map }: ChannelMap, min: number, max: number): ChannelMap {
  const clamp = (value: number) => Math.min(max, Math.max(min, value));
  return { ...map, low: clamp(low), high: clamp(high) };
}

/** The scale of one tile, as floats. */
export function scaleOf(maps: readonly ChannelMap[]): TileScale {
  const bounded = (value: number) => Math.min(MAX_FLOAT, Math.max(-MAX_FLOAT, value));
  const part = (name: keyof ChannelMap) => Float32Array.from(maps, (map) => bounded(map[name]));
  return { shift: part('shift'), factor: part('factor'), low: part('low'), high: part('high') };
}

/**
 * The scales of a batch, of those of its tiles.
 * @param count of the batch's tiles, the missing ones as the first
 */
export function joinScales(scales: readonly TileScale[], count: number): TileScale {
  const joined = (name: keyof TileScale) => {
    const [first] = scales as [TileScale];
    const { length } = first[name];
    const values = new Float32Array(count * length);
    for (let i = 0; i < count; i++) values.set((scales[i] ?? first)[name], i * length);
    return values;
  };
  return { shift: joined('shift'), factor: joined('factor'), low: joined('low'), high: joined('high') };
}

/** The same scale for each tile of a batch. */
export const repeatScale = (scale: TileScale, count: number): TileScale => joinScales([scale], count);

/** A scale of pseudorandom numbers for values of some type, to measure or test a graph with. */
export function testScale(channels: number, isOfBytes: boolean): TileScale {
  const unit = isOfBytes ? 256 : 65536;
  return scaleOf(
    Array.from({ length: channels }, (_, i) => {
      const share = ((i * 7 + 3) % 11) / 11;
      return { shift: unit * (0.3 + 0.3 * share), factor: (4 + share) / unit, low: -1.5 + share, high: 1.5 };
    }),
  );
}
