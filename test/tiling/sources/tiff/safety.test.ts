import { once } from 'node:events';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { Raster } from '../../../../tiling/raster.js';
import { fileBytes } from '../../../../tiling/sources/bytes.js';
import { httpBytes } from '../../../../tiling/sources/http-bytes.js';
import { openImage } from '../../../../tiling/sources/open.js';
import { countPages } from '../../../../tiling/sources/tiff/tiff.js';
import { TiffFile } from '../../../../tiling/sources/tiff/tiff-file.js';
import { testFolder } from '../../../support/files.js';
import { jpeg2000Encoder } from '../../../support/jpeg2000.js';
import { pattern } from '../../../support/rasters.js';
import { type TestTiff, writeTestTiff } from '../../../support/tiff.js';

const folder = await testFolder();
const options = { scratchDir: folder, maxPixels: 1e9 };
const tile = { width: 64, height: 64 };
let files = 0;

async function write(changes: Partial<TestTiff> = {}, channels = 1): Promise<string> {
  const path = join(folder, `${files++}.tif`);
  await writeTestTiff(path, pattern(64, 64, channels), { tile, compression: 8, ...changes });
  return path;
}

/** Opens a TIFF and reads all of it. */
async function read(path: string): Promise<Raster> {
  const source = await openImage(path, options);
  try {
    return await source.readRegion({ x: 0, y: 0, ...source.size });
  } finally {
    await source.close();
  }
}
const refused = (path: string, code: string, message: RegExp) =>
  expect(read(path)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });

/** Changes the count, or the single value, of a tag of a little-endian test TIFF. */
async function change(path: string, tag: number, what: 'count' | 'value', to: number): Promise<void> {
  const bytes = await readFile(path);
  const at = [3, 4]
    .map((type) => bytes.indexOf(Buffer.from([tag & 255, tag >> 8, type, 0])))
    .find((found) => found >= 0)!;
  bytes.writeUInt32LE(to, at + (what === 'count' ? 4 : 8));
  await writeFile(path, bytes);
}

/** Gives a tag of a little-endian test TIFF the given number of SHORTs, at the file's end. */
async function appendTag(path: string, tag: number, values: readonly number[]): Promise<void> {
  const end = (await readFile(path)).length;
  await appendFile(path, Buffer.from(Uint16Array.from(values).buffer));
  await change(path, tag, 'count', values.length);
  await change(path, tag, 'value', end);
}

describe('an OME-XML', () => {
  const xml = (attributes: string, inner = '<TiffData IFD="0"/>', before = '') =>
    `${before}<OME><Image><Pixels DimensionOrder="XYCZT" ${attributes}>${inner}</Pixels></Image></OME>`;

  it.each([
    ['channels', 'SizeC="70000"'],
    ['planes', 'SizeZ="1000000"'],
    ['times', 'SizeT="1000000000"'],
    ['all of them', 'SizeC="70000" SizeZ="70000" SizeT="70000"'],
  ])('that claims more %s than the file has pages', async (_, sizes) => {
    const path = await write({ description: xml(sizes) });
    await refused(path, 'corrupt-image', /claims .* planes .* 1 page/);
  });

  it.each([
    ['an invalid size', xml('SizeC="-3"'), /SizeC is "-3"/],
    [
      'a fractional channel',
      xml('SizeC="4"', '<Channel SamplesPerPixel="3"/><TiffData/>'),
      /SamplesPerPixel/,
    ],
    ['an invalid order', xml('SizeC="1"').replace('XYCZT', 'XYQQQ'), /DimensionOrder/],
    [
      'entity declarations',
      xml('SizeC="1"', '<Channel Name="&a;"/>', `<!DOCTYPE x [<!ENTITY a "${'a'.repeat(99)}">]>`),
      /DOCTYPE/,
    ],
    ['too deeply nested elements', xml('SizeC="1"', '<a>'.repeat(3000)), /./],
  ])('with %s', async (_, description, message) => {
    await refused(await write({ description }), 'corrupt-image', message);
  });

  it('of many megabytes', async () => {
    const path = await write({ description: xml('SizeC="1"', `<!--${'x'.repeat(20 << 20)}-->`) });
    await refused(path, 'corrupt-image', /tag 270 claims \d+ values/);
  });
});

it('invalid counts of Fiji are ignored', async () => {
  const path = await write({ description: 'ImageJ=1.54f\nimages=1\nchannels=-1\nslices=-1\n' });
  await expect(read(path)).resolves.toMatchObject({ channels: 1 });
});

describe('directories', () => {
  it('that overlap are not followed: a small file could encode millions of tags', async () => {
    const path = await write();
    const bytes = await readFile(path);
    // 700 directories of 1,000 tags, 16 bytes apart, each leading to the next.
    const start = bytes.length + (bytes.length % 2);
    const more = Buffer.alloc(16 * 700 + 2 + 12_000 + 4);
    for (let i = 0; i < 700; i++) {
      more.writeUInt16LE(1000, 16 * i);
      more.writeUInt32LE(i < 699 ? start + 16 * (i + 1) : 0, 16 * i + 2 + 12_000);
    }
    const first = bytes.readUInt32LE(4);
    bytes.writeUInt32LE(start, first + 2 + 12 * bytes.readUInt16LE(first));
    await writeFile(path, Buffer.concat([bytes, Buffer.alloc(start - bytes.length), more]));
    expect(await countPages(path)).toBeLessThan(5);
  });

  it('with a thousand reduced-resolution versions', async () => {
    const path = await write({ children: [pattern(32, 32)] });
    await change(path, 330, 'count', 1000);
    await appendFile(path, Buffer.alloc(4000));
    await refused(path, 'corrupt-image', /tag 330 claims 1000 values/);
  });

  it('with impossible tag counts', async () => {
    const path = await write();
    await appendFile(path, Buffer.alloc(1 << 20));
    await change(path, 258, 'count', 100_000);
    await refused(path, 'corrupt-image', /tag 258 claims 100000 values/);
  });

  it('with an implausible number of channels', async () => {
    const path = await write({ compression: 1 });
    await change(path, 277, 'value', 60_000);
    await refused(path, 'unsupported-image', /60000 channels; at most 4096/);
  });

  it('that are invalid, or with an invalid planar configuration', async () => {
    const none = await write();
    const bytes = await readFile(none);
    bytes.writeUInt32LE(0, 4);
    await writeFile(none, bytes);
    await refused(none, 'corrupt-image', /it has no image/);
    const odd = await write();
    await change(odd, 284, 'value', 50_000);
    await refused(odd, 'unsupported-image', /planar configuration 50000/);
  });

  it('with several values in a tag of one', async () => {
    const path = await write();
    await change(path, 262, 'count', 2);
    await refused(path, 'corrupt-image', /tag 262 has 2 values/);
  });

  it('with channels of different sample formats', async () => {
    const path = await write({}, 3);
    await appendTag(path, 339, [1, 1, 3]);
    await refused(path, 'unsupported-image', /different sample formats/);
  });

  it('with an unknown predictor', async () => {
    const path = await write();
    await change(path, 317, 'value', 9);
    await refused(path, 'unsupported-image', /predictor 9/);
  });
});

describe('very many directories in a small file', () => {
  const entry = ([tag, type, count, value]: readonly number[]): Buffer => {
    const bytes = Buffer.alloc(12);
    bytes.writeUInt16LE(tag!, 0);
    bytes.writeUInt16LE(type!, 2);
    bytes.writeUInt32LE(count!, 4);
    bytes.writeUInt32LE(value!, 8);
    return bytes;
  };

  /** A TIFF of gray pages of 16 × 16 px that share their one tile, and 64 SubIFDs in what is behind that. */
  function pagesOf(pages: number, description: string, children: Buffer, step: number): Buffer {
    const text = Buffer.from(`${description}\0`);
    const list = Buffer.alloc(4 * 64);
    const behind = 8 + 256 + text.length + list.length;
    for (let i = 0; i < 64; i++) list.writeUInt32LE(behind + i * step, 4 * i);
    const parts = [Buffer.alloc(8 + 256), text, list, children];
    parts[0]!.write('II*\0', 'latin1');
    parts[0]!.writeUInt32LE(behind + children.length, 4);
    let at = behind + children.length;
    for (let i = 0; i < pages; i++) {
      const tags = [
        ...[
          [256, 4, 1, 16],
          [257, 4, 1, 16],
          [258, 3, 1, 8],
          [259, 3, 1, 1],
          [262, 3, 1, 1],
        ],
        ...(i === 0 ? [[270, 2, text.length, 8 + 256]] : []),
        ...[
          [277, 3, 1, 1],
          [322, 4, 1, 16],
          [323, 4, 1, 16],
          [324, 4, 1, 8],
          [325, 4, 1, 256],
        ],
        [330, 4, 64, 8 + 256 + text.length],
      ];
      const directory = Buffer.alloc(2 + 12 * tags.length + 4);
      directory.writeUInt16LE(tags.length);
      for (const [k, tag] of tags.entries()) entry(tag).copy(directory, 2 + 12 * k);
      at += directory.length;
      directory.writeUInt32LE(i + 1 < pages ? at : 0, directory.length - 4);
      parts.push(directory);
    }
    return Buffer.concat(parts);
  }

  it('are read once when many pages refer to them', async () => {
    const bytes = pagesOf(40, '', Buffer.alloc(6), 0);
    let reads = 0;
    const file = await TiffFile.open({
      length: bytes.length,
      read: async (offset, length) => {
        reads++;
        return bytes.subarray(offset, offset + length);
      },
      close: async () => undefined,
    });
    for (const page of file.pages) expect(await file.children(page)).toHaveLength(64);
    expect(reads).toBeLessThan(4 * 40); // a page's length, its tags, its list
  });

  it('are refused where they overlap', async () => {
    const thousands = Buffer.alloc(2 * 64 + 2 + 12_000 + 4);
    for (let at = 0; at < thousands.length; at += 2) thousands.writeUInt16LE(1000, at);
    const path = join(folder, 'overlapping-children.tif');
    await writeFile(path, pagesOf(1, '', thousands, 2));
    const bytes = await fileBytes(path);
    const file = await TiffFile.open(bytes);
    await expect(file.children(file.pages[0]!)).rejects.toMatchObject({
      code: 'corrupt-image',
      message: expect.stringMatching(/overlap/),
    });
    await bytes.close();
  });

  it.each([
    ['Fiji', 'ImageJ=1.54f\nimages=4200\nchannels=4200\n'],
    [
      'an OME-XML',
      '<OME><Image><Pixels DimensionOrder="XYCZT" SizeC="4200"><TiffData PlaneCount="4200"/></Pixels></Image></OME>',
    ],
  ])('are no 4,200 channels, though %s says so', async (_, description) => {
    const path = join(folder, `${files++}.tif`);
    await writeFile(path, pagesOf(4200, description, Buffer.alloc(6), 0));
    await refused(path, 'unsupported-image', /4200 channels; at most 4096/);
  });
});

describe('a server that responds with another range than requested', () => {
  it.each([
    ['a shorter one', 0, 1000],
    ['a later one', 16, 0],
  ])('%s, is reported', async (_, later, shorter) => {
    const bytes = await readFile(
      await write({ children: [pattern(32, 32)], description: 'x'.repeat(200_000) }),
    );
    const server = createServer((request, response) => {
      const [from, to] = /(\d+)-(\d+)/.exec(request.headers.range!)!.slice(1).map(Number) as [number, number];
      const odd = from > 0;
      const start = odd ? from + later : from;
      const stop = Math.min(bytes.length, to + 1) - (odd ? shorter : 0);
      const range = `bytes ${start}-${stop - 1}/${bytes.length}`;
      response.writeHead(206, { 'content-range': range }).end(bytes.subarray(start, stop));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const length = httpBytes(`http://${host}/slide.tif`)
      .then(({ read }) => read(100_000, 50_000))
      .then((part) => part.length);
    await expect(length).rejects.toMatchObject({
      code: 'source-unreachable',
      message: expect.stringMatching(/another range/),
    });
    server.close();
  });
});

describe('a chunk', () => {
  it('that inflates beyond its size', async () => {
    const bomb = deflateSync(Buffer.alloc(64 << 20));
    expect(bomb.length).toBeLessThan(100_000);
    const path = await write({ encode: () => bomb });
    await refused(path, 'corrupt-image', /more than the 4096 bytes/);
  });

  it('that is stored larger than possible', async () => {
    const path = await write({ encode: (raw) => Buffer.concat([deflateSync(raw), Buffer.alloc(1 << 20)]) });
    await refused(path, 'corrupt-image', /takes \d+ bytes; .* at most/);
  });

  it('whose JPEG is larger than its tile', async () => {
    const encode = () =>
      sharp({ create: { width: 64, height: 4000, channels: 3, background: 'red' } })
        .jpeg()
        .toBuffer();
    const path = await write({ compression: 7, encode, photometric: 6 }, 3);
    await refused(path, 'corrupt-image', /64 × 4000 px/);
  });

  it('whose JPEG 2000 is larger than its tile', async () => {
    const encode = await jpeg2000Encoder();
    const stored = await encode(Buffer.alloc(64 * 1000 * 3, 99), { width: 64, height: 1000 }, 3);
    const path = await write({ compression: 33005, encode: () => stored }, 3);
    await refused(path, 'corrupt-image', /64 × 1000 px/);
  });
});

describe('numbers of an invalid type', () => {
  /** Changes the type of a tag of a little-endian test TIFF. */
  async function retype(path: string, tag: number, type: number): Promise<void> {
    const bytes = await readFile(path);
    bytes[bytes.indexOf(Buffer.from([tag & 255, tag >> 8, 4, 0])) + 2] = type;
    await writeFile(path, bytes);
  }

  it('a width as text, and offsets as fractions', async () => {
    const text = await write();
    await retype(text, 256, 2);
    await refused(text, 'corrupt-image', /tag 256 has type 2/);
    const fraction = await write();
    await retype(fraction, 324, 11);
    await refused(fraction, 'corrupt-image', /tag 324 has type 11/);
  });

  it('a BigTIFF with offsets of 4 bytes', async () => {
    const path = await write({ bigTiff: true });
    const bytes = await readFile(path);
    bytes.writeUInt16LE(4, 4);
    await writeFile(path, bytes);
    await refused(path, 'corrupt-image', /offsets that are not 8 bytes/);
  });
});

it('a JPEG with less data than declared is refused, as a file and as a tile', async () => {
  const claiming = async (width: number) => {
    const { data } = pattern(64, 64, 3);
    const raw = { width: 64, height: 64, channels: 3 } as const;
    const jpeg = await sharp(data, { raw }).jpeg().toBuffer();
    jpeg.writeUInt16BE(width, jpeg.indexOf(Buffer.from([0xff, 0xc0])) + 7);
    return jpeg;
  };
  const path = join(folder, 'claims.jpg');
  await writeFile(path, await claiming(96));
  await refused(path, 'corrupt-image', /cannot be decoded/);
  const stored = await claiming(96);
  const wide = join(folder, 'wide.tif');
  await writeTestTiff(wide, pattern(96, 64, 3), {
    tile: { width: 96, height: 64 },
    compression: 7,
    photometric: 6,
    encode: () => stored,
  });
  await refused(wide, 'corrupt-image', /cannot be decoded/);
});

it('PackBits data that overflows its chunk is reported as corrupt', async () => {
  // One byte, then runs of 128, the last of which exceeds the remainder of 64 × 64.
  const runs = Buffer.concat([Buffer.from([0, 7]), Buffer.alloc(2 * 32, 129)]);
  await refused(
    await write({ compression: 32773, encode: () => runs }),
    'corrupt-image',
    /decodes to more than 4096/,
  );
});

it('a stack with a truncated list of pages is not read as a shorter one', async () => {
  const path = join(folder, 'stack.tif');
  const description = 'ImageJ=1.54f\nimages=3\nchannels=3\n';
  const plain = { compression: 8, tile };
  await writeTestTiff(
    path,
    [pattern(64, 64), pattern(64, 64), pattern(64, 64)],
    [{ ...plain, description }, plain, plain],
  );
  const bytes = await readFile(path);
  const first = bytes.readUInt32LE(4);
  const next = first + 2 + 12 * bytes.readUInt16LE(first);
  bytes.writeUInt32LE(first, next); // a cycle: it is its own successor
  await writeFile(path, bytes);
  await refused(path, 'corrupt-image', /form a loop/);
});
