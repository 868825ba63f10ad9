import sharp from 'sharp';
import { limitsFor } from '../../decode-limits.js';
import type { Size } from '../../geometry.js';
import { checkFrame, jpegFrame } from './jpeg-header.js';

/** How JPEG tiles store colours, by the TIFF's `PhotometricInterpretation`. */
export type JpegColour = 'gray' | 'rgb' | 'ycbcr';

const APP14_TRANSFORM = { rgb: 0, ycbcr: 1 } as const;

/**
 * Completes a JPEG tile of a TIFF to a JPEG file. Tiles share tables, which are in a tag, and another tag says
 * which colour space they store. Without Adobe's APP14 marker a decoder would take three components for YCbCr,
 * and show Aperio's RGB tiles in wrong colours. (TIFF Technical Note 2; the marker: Adobe Technical Note 5116.)
 */
function completeJpeg(tile: Uint8Array, tables: Uint8Array | null, colour: JpegColour): Buffer {
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
 * @param rows that it must have at least; it may have all of the tile's
 * @throws Error, before it is decoded, for a JPEG whose size is not the tile's
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
