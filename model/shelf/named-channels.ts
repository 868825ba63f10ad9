import { z } from 'zod';
import { MAX_INPUT_CHANNELS } from '../network/normalisation.js';

const channelName = z
  .string()
  .max(100)
  .regex(/^\S(.*\S)?$/, 'must have no space at its ends');

/** A channel that a model takes, and the names that images may give it: whatever their case, and exactly otherwise. */
const namedChannel = z.strictObject({
  name: channelName,
  /** Other names of the same channel, such as `Hoechst` of `DAPI`. */
  aliases: z.array(channelName).max(32).default([]),
});
export type NamedChannel = Readonly<z.infer<typeof namedChannel>>;

/** The channels of a model. No two share a name. */
export const namedChannels = z
  .array(namedChannel)
  .min(1)
  .max(MAX_INPUT_CHANNELS)
  .refine((channels) => {
    const names = channels.flatMap(({ name, aliases }) => [...new Set([name, ...aliases].map(lowered))]);
    return new Set(names).size === names.length;
  }, 'two channels share a name, or an alias');

const lowered = (name: string): string => name.toLowerCase();
