import { UnsupportedImageError } from '../errors.js';
import { checkChannel } from './choice.js';
import type { ChannelRef, OpenOptions, WantedChannel } from './options.js';

/** Channels that the text of an error lists, at most. */
const MAX_LISTED = 64;

/**
 * Which channels of an image are read, in this order: those that are chosen; or else those that the model takes by name;
 * or else all, for which this is undefined. Names are compared in any case, and exactly otherwise.
 *
 * @param names of all channels of the image; null for gray and colours
 * @param count of all channels
 * @throws UnsupportedImageError for a channel that is missing, or that several have the name of, with all that there are
 */
export function chooseChannels(
  { channels, wanted }: Pick<OpenOptions, 'channels' | 'wanted'>,
  names: readonly string[] | null,
  count: number,
): readonly number[] | undefined {
  if (channels) return channels.map((channel) => chosen(channel, names, count));
  return wanted?.map((channel) => matching(channel, wanted, names, count));
}

/** A channel that is chosen by its number or its name. Digits are a number, but for one that is no channel's. */
function chosen(channel: ChannelRef, names: readonly string[] | null, count: number): number {
  const index =
    typeof channel === 'number' ? channel : Number(/^\d{1,6}$/.test(channel) ? channel : Number.NaN);
  const found = indexesOf([String(channel)], names);
  if (index < count || (Number.isInteger(index) && found.length === 0)) {
    checkChannel(index, count);
    return index;
  }
  if (found.length === 1) return found[0]!;
  const problem = found.length === 0 ? 'there is no channel' : 'several channels have the name';
  throw new UnsupportedImageError(`${problem} "${channel}": ${listed(names, count)}`);
}

/** The channel of an image that a model takes. */
function matching(
  { name, aliases }: WantedChannel,
  wanted: readonly WantedChannel[],
  names: readonly string[] | null,
  count: number,
): number {
  const byName = indexesOf([name], names);
  const found = byName.length > 0 ? byName : indexesOf(aliases, names);
  if (found.length === 1) return found[0]!;
  const known = [name, ...aliases].map((each) => `"${each}"`).join(' or ');
  const problem = found.length === 0 ? 'has no channel' : `has ${found.length} channels`;
  const order = wanted.map((each) => each.name).join(', ');
  throw new UnsupportedImageError(
    `the image ${problem} named ${known}: ${listed(names, count)}. Select those of ${order}, in this order, with ` +
      `"channels", such as channels=${wanted.map((_, i) => i).join(',')}`,
  );
}

function indexesOf(wanted: readonly string[], names: readonly string[] | null): number[] {
  const lowered = wanted.map((name) => name.toLowerCase());
  return (names ?? []).flatMap((name, i) => (lowered.includes(name.trim().toLowerCase()) ? [i] : []));
}

function listed(names: readonly string[] | null, count: number): string {
  if (names === null) return `its ${count === 1 ? 'channel has no name' : `${count} channels have no names`}`;
  const shown = names.slice(0, MAX_LISTED).map((name, i) => `${i} ${name}`);
  const more = names.length > MAX_LISTED ? `, and ${names.length - MAX_LISTED} more` : '';
  return `its channels are ${shown.join(', ')}${more}`;
}
