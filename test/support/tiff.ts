import { writeFile } from 'node:fs/promises';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import type { Raster } from '../../tiling/raster.js';

export interface TestTiff {
  readonly tile: { readonly width: number; readonly height: number };
  readonly compression: 1 | 7 | 8;
  readonly predictor?: 1 | 2;
  readonly bigEndian?: boolean;
  readonly photometric?: number;
  /** The ExtraSamples tag: what a channel beyond the colour is. */
  readonly extraSamples?: number;
}

/** Writes a tiled TIFF of kinds that libraries here cannot: any byte order, with a predictor, as JPEG. */
export async function writeTestTiff(path: string, image: Raster, options: TestTiff): Promise<void> {
  const { tile, compression, predictor = 1, bigEndian = false } = options;
  const { width, height, channels, data } = image;
  const bytes = data.BYTES_PER_ELEMENT;
  const tiles: Buffer[] = [];
  for (let y = 0; y < height; y += tile.height) {
    for (let x = 0; x < width; x += tile.width) {
      const values = new (data.constructor as typeof Uint16Array)(tile.width * tile.height * channels);
      for (let row = 0; row < tile.height; row++) {
        for (let i = 0; i < tile.width * channels; i++) {
          const column = Math.min(x + Math.floor(i / channels), width - 1);
          const from = (Math.min(y + row, height - 1) * width + column) * channels + (i % channels);
          values[row * tile.width * channels + i] = data[from]!;
        }
        if (predictor === 2) {
          const start = row * tile.width * channels;
          for (let i = tile.width * channels - 1; i >= channels; i--)
            values[start + i]! -= values[start + i - channels]!;
        }
      }
      const raw = Buffer.from(values.buffer);
      if (bigEndian && bytes === 2) raw.swap16();
      if (compression === 1) tiles.push(raw);
      else if (compression === 8) tiles.push(deflateSync(raw));
      else {
        const picture = sharp(raw, {
          raw: { width: tile.width, height: tile.height, channels: channels as 1 | 3 },
        });
        const gray = channels === 1 ? picture.toColourspace('b-w') : picture;
        tiles.push(await gray.jpeg({ quality: 90, chromaSubsampling: '4:4:4' }).toBuffer());
      }
    }
  }
  const offsets: number[] = [];
  let position = 8;
  for (const { length } of tiles) {
    offsets.push(position);
    position += length;
  }
  const photometric = options.photometric ?? (channels >= 3 ? 2 : 1);
  const tags: [id: number, type: 3 | 4, values: number[]][] = [
    [256, 4, [width]],
    [257, 4, [height]],
    [258, 3, Array<number>(channels).fill(bytes * 8)],
    [259, 3, [compression]],
    [262, 3, [photometric]],
    [277, 3, [channels]],
    [284, 3, [1]],
    [317, 3, [predictor]],
    [322, 4, [tile.width]],
    [323, 4, [tile.height]],
    [324, 4, offsets],
    [325, 4, tiles.map(({ length }) => length)],
  ];
  if (options.extraSamples !== undefined) tags.push([338, 3, [options.extraSamples]]);
  const directory = Buffer.alloc(2 + 12 * tags.length + 4);
  const behind: Buffer[] = [];
  let end = position + directory.length;
  const u16 = (b: Buffer, v: number, at: number) =>
    bigEndian ? b.writeUInt16BE(v, at) : b.writeUInt16LE(v, at);
  const u32 = (b: Buffer, v: number, at: number) =>
    bigEndian ? b.writeUInt32BE(v, at) : b.writeUInt32LE(v, at);
  u16(directory, tags.length, 0);
  for (const [i, [id, type, values]] of tags.entries()) {
    const at = 2 + 12 * i;
    const size = type === 3 ? 2 : 4;
    const content = Buffer.alloc(Math.max(4, values.length * size));
    for (const [j, value] of values.entries()) (type === 3 ? u16 : u32)(content, value, j * size);
    u16(directory, id, at);
    u16(directory, type, at + 2);
    u32(directory, values.length, at + 4);
    if (values.length * size <= 4) directory.set(content.subarray(0, 4), at + 8);
    else {
      u32(directory, end, at + 8);
      behind.push(content);
      end += content.length;
    }
  }
  const header = Buffer.alloc(8);
  header.write(bigEndian ? 'MM' : 'II', 0, 'latin1');
  u16(header, 42, 2);
  u32(header, position, 4);
  await writeFile(path, Buffer.concat([header, ...tiles, directory, ...behind]));
}

/** Damages a little-endian test TIFF in place: its header claims 2^31 px a side. */
export function claimGiantSides(bytes: Buffer): Buffer {
  for (const tag of [256, 257]) {
    const at = bytes.indexOf(Buffer.from([tag & 255, tag >> 8, 4, 0, 1, 0, 0, 0]));
    bytes.writeUInt32LE(2 ** 31, at + 8);
  }
  return bytes;
}
