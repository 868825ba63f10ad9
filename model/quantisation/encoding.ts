import type { Range } from './ranges.js';

/** How a channel's numbers are stored as bytes: a byte q stands for `scale · (q − zero)`. `zero` need not be whole. */
export interface Encoding {
  readonly scale: number;
  readonly zero: number;
}

/** The greatest byte. */
const MAX_BYTE = 255;
/** A channel that was silent in calibration gets this share of the range of its image's loudest one. */
const LEAST_SHARE = 1 / 64;

/**
 * The encodings of an image's channels, each with a range of its own: it costs nothing, since their scales become part
 * of the filters around them. The range contains zero, and where no value is negative, byte 0 is zero.
 */
export function encodingsOf({ low, high }: Range, isActivated: boolean): Encoding[] {
  const lows = low.map((value) => (isActivated ? 0 : Math.min(value, 0)));
  const spans = high.map((value, c) => Math.max(value, 0) - lows[c]!);
  const least = Math.max(...spans) * LEAST_SHARE || 1;
  return spans.map((span, c) => {
    const scale = Math.max(span, least) / MAX_BYTE;
    return { scale, zero: (0 - lows[c]!) / scale };
  });
}
