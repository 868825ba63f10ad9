import sharp from 'sharp';
import { limitsFor } from '../../decode-limits.js';

/**
 * Decodes a chunk of LZW with libtiff, in sharp, as a TIFF with one strip of gray bytes. libtiff knows both bit
 * orders, and fails at damaged codes, which geotiff's own decoder can loop on forever.
 *
 * @returns `rowBytes · rows` bytes, as they were before compression; prediction is not undone
 */
export async function decodeLzw(stored: Uint8Array, rowBytes: number, rows: number): Promise<Uint8Array> {
  const tags = [
    [256, rowBytes], // width
    [257, rows],
    [258, 8], // bits
    [259, 5], // compression: LZW
    [262, 1], // 0 is black
    [273, 0], // offset of the strip, set below
    [277, 1], // one channel
    [278, rows], // rows per strip
    [279, stored.length],
  ] as const;
  const header = Buffer.alloc(8 + 2 + 12 * tags.length + 4);
  header.write('II*\0', 0, 'latin1');
  header.writeUInt32LE(8, 4);
  header.writeUInt16LE(tags.length, 8);
  for (const [i, [id, value]] of tags.entries()) {
    const at = 10 + 12 * i;
    header.writeUInt16LE(id, at);
    header.writeUInt16LE(4, at + 2); // type LONG
    header.writeUInt32LE(1, at + 4);
    header.writeUInt32LE(id === 273 ? header.length : value, at + 8);
  }
  const { limitInputPixels, seconds } = limitsFor({ width: rowBytes, height: rows });
  return sharp(Buffer.concat([header, stored]), { failOn: 'error', limitInputPixels })
    .timeout({ seconds })
    .toColourspace('b-w')
    .raw()
    .toBuffer();
}
