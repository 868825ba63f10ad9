import type { NamedChannel } from '../../../model/shelf/named-channels.js';

/** The channels of images that a network takes by name. */
export interface ImageChannels {
  readonly named: readonly NamedChannel[];
  /** Which channels of the images these are, from 0; null to find them by their names. */
  readonly indexes: readonly number[] | null;
}

/** What a network takes of an image. */
export interface NetworkInput {
  readonly inputChannels: number;
  /** The channels by name; null for gray and colours, and for all of them as they come. Default null. */
  readonly channels?: ImageChannels | null;
}
