import sharp from 'sharp';
import { limitsFor } from '../../decode-limits.js';
import type { Size } from '../../geometry.js';
import { checkFrame, jpegFrame } from './jpeg-header.js';

/** How a TIFF says that its JPEG tiles store colours (`PhotometricInterpretation`). */
export type JpegColour = 'gray' | 'rgb' | 'ycbcr';

const APP14_TRANSFORM = { rgb: 0, ycbcr: 1 } as const;

/**
 * Makes a JPEG tile of a TIFF a JPEG file: its tables are kept once for all tiles, in a tag, and what
 * colour space it stores is said by another tag, not in the JPEG. Without Adobe's APP14 marker a decoder
 * would take three components for YCbCr, and Aperio's RGB tiles would come out in wrong colours.
 * (TIFF Technical Note 2; the marker: Adobe Technical Note 5116.)
 */
export function completeJpeg(tile: Uint8Array, tables: Uint8Array | null, colour: JpegColour): Buffer {
  const parts: Uint8Array[] = [Uint8Array.of(0xff, 0xd8)];
  if (colour !== 'gray') {
    const marker = Buffer.from('\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0', 'latin1');
    marker[15] = APP14_TRANSFORM[colour];
    parts.push(marker);
  }
  if (tables && tables.length > 4) parts.push(tables.subarray(2, tables.length - 2)); // without SOI and EOI
  parts.push(tile.subarray(2));
  return Buffer.concat(parts);
}

/**
 * Decodes a tile to interleaved bytes, exactly as libtiff with libjpeg does.
 * @param rows how many rows it must have; it may have all of the tile's
 * @throws Error, before it is decoded, for a JPEG of another size than the tile
 */
export async function decodeJpegTile(
  tile: Uint8Array,
  tables: Uint8Array | null,
  colour: JpegColour,
  size: Size & { readonly components: number },
  rows: number,
): Promise<Uint8Array> {
  checkFrame('JPEG', jpegFrame(tile), size, rows);
  const { limitInputPixels, seconds } = limitsFor(size);
  return sharp(completeJpeg(tile, tables, colour), { failOn: 'warning', ignoreIcc: true, limitInputPixels })
    .timeout({ seconds })
    .toColourspace(colour === 'gray' ? 'b-w' : 'srgb')
    .raw()
    .toBuffer();
}
