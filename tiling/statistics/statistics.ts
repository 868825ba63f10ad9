import type { CountedImage } from './blocks.js';
import type { ValueCounts } from './counts.js';
import { FloatCounts } from './floats.js';
import { IntegerCounts } from './integers.js';
import { between, rankOf } from './order.js';

/** What is made of a value before it is counted: `min(max((value − shift) · factor, low), high)`. */
export interface ValueMap {
  readonly shift: number;
  readonly factor: number;
  readonly low: number;
  readonly high: number;
}

/** Channels whose values are one set, and what they are mapped by. */
export interface MeasuredGroup {
  readonly channels: readonly number[];
  readonly map: ValueMap;
}

/** Two percentiles, from 0 to 100; or mean and standard deviation. */
export type Statistic = { readonly percentiles: readonly [number, number] } | 'moments';

/**
 * Statistics of an image's values, exactly: they depend on the values alone, not on how the image is stored or read. Integers
 * of 8 and 16 bits take one pass over the image for all of them, floats one or two for each.
 */
export class ImageStatistics {
  #counts: Promise<ValueCounts> | null = null;
  readonly #isFloat: boolean;

  constructor(private readonly image: CountedImage) {
    this.#isFloat = image.facts.dtype === 'float32';
  }

  /**
   * The statistic of each group: the values of both percentiles, or mean and deviation. No channel is in two groups.
   * @throws CorruptImageError for NaN and infinite values
   */
  async measure(statistic: Statistic, groups: readonly MeasuredGroup[]): Promise<[number, number][]> {
    this.#counts ??= this.#isFloat
      ? Promise.resolve(new FloatCounts(this.image))
      : IntegerCounts.of(this.image);
    const counts = await this.#counts;
    return statistic === 'moments'
      ? this.#moments(counts, groups)
      : this.#percentiles(counts, groups, statistic.percentiles);
  }

  /** Ranks are those of the stored values: a map keeps their order, or reverses it. */
  async #percentiles(
    counts: ValueCounts,
    groups: readonly MeasuredGroup[],
    percentiles: readonly [number, number],
  ): Promise<[number, number][]> {
    const ranked = groups.map(({ channels, map }) => {
      const count = counts.count * channels.length;
      const places = percentiles.map((percentile) => rankOf(percentile, count));
      const own = (rank: number) => (map.factor < 0 ? count - 1 - rank : rank);
      return { channels, places, ranks: places.flatMap(({ below, above }) => [own(below), own(above)]) };
    });
    const values = await counts.valuesOf(ranked);
    return ranked.map(({ places }, i) => {
      const { map } = groups[i]!;
      const isStored = this.#isFloat && isIdentity(map);
      const mapped = values[i]!.map((value) => apply(map, value));
      const [low, high] = places.map(({ share }, k) =>
        between(mapped[2 * k]!, mapped[2 * k + 1]!, share, isStored),
      );
      return [low!, high!];
    });
  }

  async #moments(counts: ValueCounts, groups: readonly MeasuredGroup[]): Promise<[number, number][]> {
    const mapped = groups.map(({ channels, map }) => {
      return { channels, map: isUnbounded(map) ? null : (value: number) => apply(map, value) };
    });
    const all = await counts.momentsOf(mapped);
    return all.map(({ mean, deviation }, i) => {
      const { map } = groups[i]!;
      if (!isUnbounded(map)) return [mean, deviation];
      return [(mean - map.shift) * map.factor, deviation * Math.abs(map.factor)];
    });
  }
}

const apply = ({ shift, factor, low, high }: ValueMap, value: number): number =>
  Math.min(high, Math.max(low, (value - shift) * factor));

const isUnbounded = ({ low, high }: ValueMap): boolean =>
  low === Number.NEGATIVE_INFINITY && high === Number.POSITIVE_INFINITY;

const isIdentity = (map: ValueMap): boolean => map.shift === 0 && map.factor === 1 && isUnbounded(map);
