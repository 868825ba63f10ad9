/** Such as `1 channel`. */
export const channelText = (channels: number): string =>
  channels === 1 ? '1 channel' : `${channels} channels`;

/** Why a network of `own` channels cannot have images for which `named` are named. */
export const otherChannels = (own: number, named: number): string =>
  `the network takes ${channelText(own)}, not the ${named} that are named`;
