import { type CountedImage, countValues } from './blocks.js';
import type { Group, MappedGroup, RankedGroup, ValueCounts } from './counts.js';
import { ExactMoments, type Moments } from './exact-moments.js';
import { binOf, countersOf } from './order.js';

/** Bins of the upper, and of the lower half of a float's 32 bits. */
const HALF = 65536;

/**
 * A float's bits as an unsigned integer with the order of the floats: those of negative ones are inverted, and of others
 * the sign is. Both zeros are one.
 */
function keyOf(word: number): number {
  if (word === -0x80000000) return 0x80000000;
  return (word < 0 ? ~word : word ^ -0x80000000) >>> 0;
}

const scratch = new Uint32Array(1);
const asFloat = new Float32Array(scratch.buffer);

/** The float of a key. */
function floatOf(key: number): number {
  scratch[0] = key >= 0x80000000 ? key ^ -0x80000000 : ~key;
  return asFloat[0]!;
}

type Counters = Uint32Array | Float64Array;

/**
 * The values of an image of floats by their rank, and their moments, exactly, in passes over the image: one counts the
 * upper halves of their bits, the next the lower halves of those among which a rank lies. Nothing is sorted or sampled.
 */
export class FloatCounts implements ValueCounts {
  /** Values of each channel. */
  readonly count: number;
  /** By channel, and the upper half of the bits; null until they are needed. */
  #upper: Promise<readonly Counters[]> | null = null;

  constructor(private readonly image: CountedImage) {
    const { width, height } = image.reader.size;
    this.count = width * height;
  }

  async valuesOf(groups: readonly RankedGroup[]): Promise<number[][]> {
    this.#upper ??= this.#countUpper();
    const upper = await this.#upper;
    const places = groups.map(({ channels, ranks }) => {
      const all = joined(channels.map((channel) => upper[channel]!));
      return ranks.map((rank) => binOf(all, rank));
    });
    const bins = places.map((list) => [...new Set(list.map(({ bin }) => bin))]);
    const lower = await this.#countLower(groups, bins);
    return places.map((list, group) =>
      list.map(({ bin, rank }) => {
        const counts = lower[group]![bins[group]!.indexOf(bin)]!;
        return floatOf(bin * HALF + binOf(counts, rank).bin);
      }),
    );
  }

  async momentsOf(groups: readonly MappedGroup[]): Promise<Moments[]> {
    const { channels: stride } = this.image.facts;
    const sums = groups.map(() => new ExactMoments());
    const groupOf = groupsOf(groups, stride);
    await countValues(this.image, (channel, data, from, to) => {
      const group = groupOf[channel]!;
      if (group < 0) return;
      const { map } = groups[group]!;
      if (map === null) return sums[group]!.add(data as Float32Array, from, to, stride);
      const mapped = new Float32Array(Math.ceil((to - from) / stride));
      for (let i = from, at = 0; i < to; i += stride, at++) mapped[at] = map(data[i]!);
      sums[group]!.add(mapped, 0, mapped.length, 1);
    });
    return sums.map(({ moments }) => moments);
  }

  async #countUpper(): Promise<readonly Counters[]> {
    const { channels } = this.image.facts;
    const counts = Array.from({ length: channels }, () => countersOf(HALF, this.count));
    await countValues(this.image, (channel, data, from, to) => {
      const own = counts[channel]!;
      const words = new Int32Array(data.buffer, data.byteOffset, data.length);
      for (let i = from; i < to; i += channels) own[keyOf(words[i]!) >>> 16]!++;
    });
    return counts;
  }

  /** Counts the lower halves of the values of each group whose upper halves are one of its bins. */
  async #countLower(
    groups: readonly Group[],
    bins: readonly (readonly number[])[],
  ): Promise<readonly (readonly Counters[])[]> {
    const { channels } = this.image.facts;
    const counts = bins.map((own) => own.map(() => countersOf(HALF, this.count * channels)));
    const groupOf = groupsOf(groups, channels);
    /** By group: which of its bins an upper half is, and one more; 0 for none. */
    const slots = bins.map((own) => {
      const table = new Uint8Array(HALF);
      for (const [i, bin] of own.entries()) table[bin] = i + 1;
      return table;
    });
    await countValues(this.image, (channel, data, from, to) => {
      const group = groupOf[channel]!;
      if (group < 0) return;
      const [table, own] = [slots[group]!, counts[group]!];
      const words = new Int32Array(data.buffer, data.byteOffset, data.length);
      for (let i = from; i < to; i += channels) {
        const key = keyOf(words[i]!);
        const slot = table[key >>> 16]!;
        if (slot > 0) own[slot - 1]![key & 0xffff]!++;
      }
    });
    return counts;
  }
}

/** The group of each channel; -1 for one that is in none. */
const groupsOf = (groups: readonly Group[], channels: number): number[] =>
  Array.from({ length: channels }, (_, c) => groups.findIndex((group) => group.channels.includes(c)));

function joined(counts: readonly Counters[]): Float64Array {
  const all = new Float64Array(HALF);
  for (const own of counts) for (let bin = 0; bin < HALF; bin++) all[bin]! += own[bin]!;
  return all;
}
