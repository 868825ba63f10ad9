import { writeFile } from 'node:fs/promises';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import type { Size } from '../../tiling/geometry.js';

type Values = ArrayLike<number>;

/** An image of any pixel type. */
export interface TestImage extends Size {
  readonly data: Values;
  readonly channels: number;
}

export interface TestTiff {
  /** Size of tiles. Default: one strip of all rows. */
  readonly tile?: Size;
  readonly compression: number;
  readonly predictor?: 1 | 2;
  readonly bigEndian?: boolean;
  readonly bigTiff?: boolean;
  readonly photometric?: number;
  readonly bits?: number;
  /** TIFF's SampleFormat: 1 unsigned, 2 signed, 3 floating point. */
  readonly format?: 1 | 2 | 3;
  readonly planar?: boolean;
  /** The ExtraSamples tag: the meaning of a channel beyond the colour. */
  readonly extraSamples?: number;
  /** The palette: reds, greens, blues of 16 bits. */
  readonly colourMap?: readonly number[];
  readonly description?: string;
  /** XResolution and YResolution as fractions, and their unit. */
  readonly resolution?: { readonly x: [number, number]; readonly y: [number, number]; readonly unit: number };
  readonly newSubfileType?: number;
  /** Encodes a chunk of bytes, for compressions that this file does not implement. */
  readonly encode?: (chunk: Buffer, size: Size, channels: number) => Promise<Buffer> | Buffer;
  /** Downscaled versions of the image, as SubIFDs. */
  readonly children?: readonly TestImage[];
}

/** Encodes bytes as PackBits. */
function packBits(bytes: Buffer): Buffer {
  const out: number[] = [];
  for (let i = 0; i < bytes.length; ) {
    let run = 1;
    while (run < 128 && bytes[i + run] === bytes[i]) run++;
    if (run > 1) out.push(257 - run, bytes[i]!);
    else out.push(0, bytes[i]!);
    i += run;
  }
  return Buffer.from(out);
}

/**
 * Writes TIFFs that the available libraries cannot: any byte order and type, with a predictor, planar,
 * as JPEG, with pages and pyramids.
 */
export async function writeTestTiff(
  path: string,
  image: TestImage | readonly TestImage[],
  options: TestTiff | readonly TestTiff[],
): Promise<void> {
  const pages = Array.isArray(image) ? (image as readonly TestImage[]) : [image as TestImage];
  const optionsOf = (i: number) => (Array.isArray(options) ? options[i] : options) as TestTiff;
  const { bigEndian = false, bigTiff = false } = optionsOf(0);
  const parts: Buffer[] = [];
  let position = bigTiff ? 16 : 8;
  const append = (bytes: Buffer): number => {
    const at = position;
    parts.push(bytes);
    position += bytes.length;
    return at;
  };
  const u16 = (b: Buffer, v: number, at: number) =>
    bigEndian ? b.writeUInt16BE(v, at) : b.writeUInt16LE(v, at);
  const u32 = (b: Buffer, v: number, at: number) =>
    bigEndian ? b.writeUInt32BE(v, at) : b.writeUInt32LE(v, at);
  const u64 = (b: Buffer, v: number, at: number) =>
    bigEndian ? b.writeBigUInt64BE(BigInt(v), at) : b.writeBigUInt64LE(BigInt(v), at);

  /** Encodes an image; returns its tags. */
  const encode = async (img: TestImage, o: TestTiff): Promise<[number, number, number[] | string][]> => {
    const { width, height, channels, data } = img;
    const bits = o.bits ?? (data as Uint8Array).BYTES_PER_ELEMENT * 8;
    const tile = o.tile ?? { width, height };
    const planes = o.planar ? channels : 1;
    const inChunk = o.planar ? 1 : channels;
    const offsets: number[] = [];
    const counts: number[] = [];
    for (let plane = 0; plane < planes; plane++) {
      for (let y = 0; y < height; y += tile.height) {
        for (let x = 0; x < width; x += tile.width) {
          const rowValues = tile.width * inChunk;
          const values = new Float64Array(rowValues * tile.height);
          for (let i = 0; i < values.length; i++) {
            const row = Math.min(y + Math.floor(i / rowValues), height - 1);
            const column = Math.min(x + Math.floor((i % rowValues) / inChunk), width - 1);
            values[i] = data[(row * width + column) * channels + (o.planar ? plane : i % inChunk)]!;
          }
          if (o.predictor === 2) {
            for (let row = 0; row < values.length; row += rowValues)
              for (let i = row + rowValues - 1; i >= row + inChunk; i--) values[i]! -= values[i - inChunk]!;
          }
          const raw = packed(values, rowValues, bits, o.format ?? 1, bigEndian);
          let stored = raw;
          if (o.encode) stored = await o.encode(raw, tile, inChunk);
          else if (o.compression === 8) stored = deflateSync(raw);
          else if (o.compression === 32773) stored = packBits(raw);
          else if (o.compression === 7) stored = await jpeg(raw, tile, channels);
          offsets.push(append(stored));
          counts.push(stored.length);
        }
      }
    }
    const photometric = o.photometric ?? (channels >= 3 ? 2 : 1);
    const tags: [number, number, number[] | string][] = [
      [256, 4, [width]],
      [257, 4, [height]],
      [258, 3, Array<number>(channels).fill(bits)],
      [259, 3, [o.compression]],
      [262, 3, [photometric]],
      [277, 3, [channels]],
      [284, 3, [o.planar ? 2 : 1]],
      [317, 3, [o.predictor ?? 1]],
      [339, 3, Array<number>(channels).fill(o.format ?? 1)],
    ];
    if (o.tile) {
      tags.push([322, 4, [tile.width]], [323, 4, [tile.height]], [324, 4, offsets], [325, 4, counts]);
    } else {
      tags.push([273, 4, offsets], [278, 4, [height]], [279, 4, counts]);
    }
    if (o.newSubfileType !== undefined) tags.push([254, 4, [o.newSubfileType]]);
    if (o.description !== undefined) tags.push([270, 2, o.description]);
    if (o.resolution) {
      tags.push([282, 5, o.resolution.x], [283, 5, o.resolution.y], [296, 3, [o.resolution.unit]]);
    }
    if (o.colourMap) tags.push([320, 3, [...o.colourMap]]);
    if (o.extraSamples !== undefined) tags.push([338, 3, [o.extraSamples]]);
    const children: number[] = [];
    for (const child of o.children ?? []) {
      const { children: _, description: __, ...plain } = o;
      const [at] = directory(await encode(child, { ...plain, newSubfileType: 1 }), 0);
      children.push(at);
    }
    if (children.length > 0) tags.push([330, 4, children]);
    return tags.sort(([a], [b]) => a - b);
  };

  /** Writes a directory; returns its offset, and the offset of its pointer to the next one. */
  const directory = (tags: [number, number, number[] | string][], next: number): [number, number] => {
    const [countBytes, entryBytes, inline] = bigTiff ? [8, 20, 8] : [2, 12, 4];
    const contents = tags.map(([, type, values]) => {
      if (typeof values === 'string') return Buffer.from(`${values}\0`);
      const size = type === 3 ? 2 : 4;
      const content = Buffer.alloc(values.length * size);
      for (const [j, value] of values.entries()) (type === 3 ? u16 : u32)(content, value, j * size);
      return content;
    });
    const places = contents.map((content) => (content.length > inline ? append(content) : -1));
    const table = Buffer.alloc(countBytes + entryBytes * tags.length + inline);
    (bigTiff ? u64 : u16)(table, tags.length, 0);
    for (const [i, [id, type, values]] of tags.entries()) {
      const at = countBytes + entryBytes * i;
      const count = typeof values === 'string' ? contents[i]!.length : values.length / (type === 5 ? 2 : 1);
      u16(table, id, at);
      u16(table, type, at + 2);
      (bigTiff ? u64 : u32)(table, count, at + 4);
      const here = at + entryBytes - inline;
      if (places[i]! < 0) table.set(contents[i]!, here);
      else (bigTiff ? u64 : u32)(table, places[i]!, here);
    }
    (bigTiff ? u64 : u32)(table, next, table.length - inline);
    const at = append(table);
    return [at, at + table.length - inline];
  };

  const encodedPages = [];
  for (const [i, page] of pages.entries()) encodedPages.push(await encode(page, optionsOf(i)));
  let next = 0;
  for (const tags of encodedPages.reverse()) [next] = directory(tags, next);
  const header = Buffer.alloc(bigTiff ? 16 : 8);
  header.write(bigEndian ? 'MM' : 'II', 0, 'latin1');
  u16(header, bigTiff ? 43 : 42, 2);
  if (bigTiff) u16(header, 8, 4);
  (bigTiff ? u64 : u32)(header, next, bigTiff ? 8 : 4);
  await writeFile(path, Buffer.concat([header, ...parts]));
}

/** Values as the bytes of rows; narrow ones most significant first, each row byte-aligned. */
function packed(
  values: Float64Array,
  rowValues: number,
  bits: number,
  format: 1 | 2 | 3,
  bigEndian: boolean,
): Buffer {
  if (bits < 8) {
    const rowBytes = Math.ceil((rowValues * bits) / 8);
    const bytes = Buffer.alloc((values.length / rowValues) * rowBytes);
    for (const [i, value] of values.entries()) {
      const bit = (i % rowValues) * bits;
      bytes[Math.floor(i / rowValues) * rowBytes + (bit >> 3)]! |= value << (8 - bits - (bit & 7));
    }
    return bytes;
  }
  const types: Record<string, new (v: Float64Array) => Uint8Array | Uint16Array | Float32Array> = {
    '1/8': Uint8Array,
    '1/16': Uint16Array,
    '1/32': Uint32Array as never,
    '2/8': Int8Array as never,
    '2/16': Int16Array as never,
    '3/32': Float32Array,
    '3/64': Float64Array as never,
  };
  const raw = Buffer.from(new types[`${format}/${bits}`]!(values).buffer);
  if (bigEndian && bits === 16) raw.swap16();
  if (bigEndian && bits === 32) raw.swap32();
  if (bigEndian && bits === 64) raw.swap64();
  return raw;
}

function jpeg(raw: Buffer, { width, height }: Size, channels: number): Promise<Buffer> {
  const picture = sharp(raw, { raw: { width, height, channels: channels as 1 | 3 } });
  const gray = channels === 1 ? picture.toColourspace('b-w') : picture;
  return gray.jpeg({ quality: 90, chromaSubsampling: '4:4:4' }).toBuffer();
}

/** Damages a little-endian test TIFF in place: its header declares 2^31 px a side. */
export function claimGiantSides(bytes: Buffer): Buffer {
  for (const tag of [256, 257]) {
    const at = bytes.indexOf(Buffer.from([tag & 255, tag >> 8, 4, 0, 1, 0, 0, 0]));
    bytes.writeUInt32LE(2 ** 31, at + 8);
  }
  return bytes;
}
