import { CorruptImageError } from '../../errors.js';
import { PHOTOMETRIC, TAG } from '../../tiff/tags.js';
import type { OpenOptions } from '../options.js';
import type { Directory } from './directory.js';
import { unsupported } from './refusals.js';
import type { StoredValues } from './values.js';

/** What the stored values of a TIFF mean: which of them are channels, and how they are shown. */
export interface Channels {
  /** 3 for RGB and palettes, 1 for gray, or all samples where each is a picture in its own right. */
  readonly channels: number;
  /** Whether the channels are separate pictures instead of colours. */
  readonly isSeparate: boolean;
  readonly isColour: boolean;
  /** Red, green and blue of each stored value, interleaved; null without a palette. */
  readonly palette: Uint8Array | null;
  readonly notes: readonly string[];
}

/**
 * Reads which stored values are channels, and which are alpha or others that are dropped.
 * @throws UnsupportedImageError for a colour space or a palette that is not decoded
 */
export async function readChannels(
  page: Directory,
  { samples, bits, format, photometric }: StoredValues,
  { values }: OpenOptions,
): Promise<Channels> {
  if (photometric > PHOTOMETRIC.palette && photometric !== PHOTOMETRIC.ycbcr) {
    const remedy = 'store gray (BlackIsZero or WhiteIsZero), RGB or a palette';
    throw unsupported(`photometric interpretation ${photometric}`, remedy);
  }
  const isColour = photometric === PHOTOMETRIC.rgb || photometric === PHOTOMETRIC.ycbcr;
  const hasPalette = photometric === PHOTOMETRIC.palette && values !== 'stored';
  const extra = Array.from(await page.numbers(TAG.extraSamples));
  const hasAlpha = extra.some((kind) => kind !== 0) || (samples === 4 && isColour);
  if (isColour && samples < 3) throw unsupported(`${samples} channels of colour`);
  if (hasPalette && (samples > 1 || format !== 'uint')) throw unsupported('a palette beside other channels');
  // What is neither colour nor alpha is a picture in its own right.
  const isSeparate = !isColour && samples > (hasAlpha ? 2 : 1);
  const notes: string[] = [];
  if (!isSeparate && samples > (isColour ? 3 : 1)) {
    notes.push(hasAlpha ? 'alpha dropped' : 'channels beyond RGB dropped');
  }
  if (bits < 8 && values !== 'stored' && !hasPalette) notes.push(`${bits}-bit values widened to 8 bits`);
  return {
    channels: isColour || hasPalette ? 3 : isSeparate ? samples : 1,
    isSeparate,
    isColour,
    palette: hasPalette ? paletteOf(await page.numbers(TAG.colourMap, 3 * 2 ** 16), 2 ** bits) : null,
    notes,
  };
}

/** TIFF stores all reds first, as 16 bits; some writers fill only 8 of them. */
function paletteOf(map: ArrayLike<number>, colours: number): Uint8Array {
  if (map.length < 3 * colours) throw new CorruptImageError('the TIFF has a palette without its colours');
  const shift = Array.from(map).some((value) => value > 255) ? 8 : 0;
  return Uint8Array.from(
    { length: 3 * colours },
    (_, i) => map[(i % 3) * colours + Math.floor(i / 3)]! >> shift,
  );
}
