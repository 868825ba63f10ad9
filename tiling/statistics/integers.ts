import { type CountedImage, countValues } from './blocks.js';
import type { MappedGroup, RankedGroup, ValueCounts } from './counts.js';
import { ExactMoments, type Moments, momentsOf } from './exact-moments.js';
import { binOf, countersOf } from './order.js';

/** How often each value occurs in each channel of an image of 8 or 16 bits: all that its statistics need, in one pass. */
export class IntegerCounts implements ValueCounts {
  private constructor(
    /** By channel and value. */
    private readonly counts: readonly (Uint32Array | Float64Array)[],
    /** Values of each channel. */
    readonly count: number,
  ) {}

  static async of(image: CountedImage): Promise<IntegerCounts> {
    const { reader, facts } = image;
    const { channels } = facts;
    const count = reader.size.width * reader.size.height;
    const values = facts.dtype === 'uint8' ? 256 : 65536;
    const counts = Array.from({ length: channels }, () => countersOf(values, count));
    await countValues(image, (channel, data, from, to) => {
      const own = counts[channel]!;
      for (let i = from; i < to; i += channels) own[data[i]!]!++;
    });
    return new IntegerCounts(counts, count);
  }

  async valuesOf(groups: readonly RankedGroup[]): Promise<number[][]> {
    return groups.map(({ channels, ranks }) => {
      const all = this.#together(channels);
      return ranks.map((rank) => binOf(all, rank).bin);
    });
  }

  async momentsOf(groups: readonly MappedGroup[]): Promise<Moments[]> {
    return groups.map(({ channels, map }) => momentsOfCounts(this.#together(channels), map));
  }

  /** How often each value occurs in some channels. */
  #together(channels: readonly number[]): Float64Array {
    const all = new Float64Array(this.counts[0]!.length);
    for (const channel of channels) {
      const own = this.counts[channel]!;
      for (let value = 0; value < all.length; value++) all[value]! += own[value]!;
    }
    return all;
  }
}

function momentsOfCounts(counts: Float64Array, map: MappedGroup['map']): Moments {
  if (map) {
    const mapped = new ExactMoments();
    for (const [value, count] of counts.entries()) if (count > 0) mapped.addRepeated(map(value), count);
    return mapped.moments;
  }
  let [count, sum, squares] = [0n, 0n, 0n];
  for (const [value, times] of counts.entries()) {
    if (times === 0) continue;
    const weighted = BigInt(times) * BigInt(value);
    count += BigInt(times);
    sum += weighted;
    squares += weighted * BigInt(value);
  }
  return momentsOf(count, sum, squares);
}
