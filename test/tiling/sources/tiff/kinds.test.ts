import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { ImageSource } from '../../../../tiling/source.js';
import { openImage } from '../../../../tiling/sources/open.js';
import type { OpenOptions } from '../../../../tiling/sources/options.js';
import { testFolder } from '../../../support/files.js';
import { jpeg2000Encoder } from '../../../support/jpeg2000.js';
import { firstDifference, pattern } from '../../../support/rasters.js';
import { type TestImage, writeTestTiff } from '../../../support/tiff.js';

const folder = await testFolder();
const options = { scratchDir: folder, maxPixels: 1e9 };
const tile = { width: 32, height: 48 };
let files = 0;
const newFile = () => join(folder, `${files++}.tif`);

/** The whole image, and the properties of its source. */
async function read(path: string, choice: Partial<OpenOptions> = {}) {
  const source = await openImage(path, { ...options, ...choice });
  try {
    return await contentsOf(source);
  } finally {
    await source.close();
  }
}

async function contentsOf(source: ImageSource) {
  const { size, facts, overviews } = source;
  const { channels, dtype, mpp, notes, channelNames } = facts;
  const { data } = await source.readRegion({ x: 0, y: 0, ...size });
  // A part of it, too: chunks must be assembled identically.
  const part = { x: 3, y: 5, width: size.width - 7, height: size.height - 9 };
  const region = await source.readRegion(part);
  for (let i = 0; i < region.data.length; i++) {
    const pixel = Math.floor(i / channels);
    const at = (part.y + Math.floor(pixel / part.width)) * size.width + part.x + (pixel % part.width);
    if (region.data[i] !== data[at * channels + (i % channels)])
      throw new Error(`the region differs at ${i}`);
  }
  const levels = await Promise.all(
    overviews.map(async (level) => ({
      size: level.size,
      data: (await level.readRegion({ x: 0, y: 0, ...level.size })).data,
    })),
  );
  return { size, channels, dtype, mpp, notes, channelNames, data, levels };
}

describe('the layouts of a TIFF', () => {
  const layouts = [false, true].flatMap((planar) =>
    [false, true].flatMap((bigEndian) =>
      [false, true].flatMap((bigTiff) =>
        [undefined, tile].flatMap((sides) =>
          [1, 8, 32773].map((compression) => ({ planar, bigEndian, bigTiff, tile: sides, compression })),
        ),
      ),
    ),
  );
  it.each(layouts)(
    'planar $planar, big-endian $bigEndian, BigTIFF $bigTiff, tiles $tile, compression $compression',
    async ({ tile: sides, ...layout }) => {
      for (const dtype of ['uint8', 'uint16'] as const) {
        const image = pattern(70, 90, 3, dtype);
        const path = newFile();
        await writeTestTiff(path, image, { ...layout, ...(sides ? { tile: sides } : {}) });
        const { data, channels } = await read(path);
        expect(channels).toBe(3);
        expect(firstDifference(data, image.data)).toBe(-1);
      }
    },
  );

  it('is read by libtiff and this reader alike: a planar one, by libvips', async () => {
    const image = pattern(70, 90, 3);
    const path = newFile();
    await writeTestTiff(path, image, { planar: true, compression: 32773, bigTiff: true, bigEndian: true });
    expect(firstDifference(await sharp(path).raw().toBuffer(), image.data)).toBe(-1);
  });

  it('allows rows of a huge uncompressed strip to be read in place', async () => {
    const image = pattern(3000, 1200, 3);
    const path = newFile();
    await writeTestTiff(path, image, { compression: 1 });
    expect(firstDifference((await read(path)).data, image.data)).toBe(-1);
  });
});

describe('the values of a TIFF', () => {
  it.each([1, 2, 4])('%i bits are scaled so that white stays white, as in libvips', async (bits) => {
    const top = 2 ** bits - 1;
    const data = Uint8Array.from(pattern(71, 53).data, (v) => v & top);
    const path = newFile();
    await writeTestTiff(path, { data, width: 71, height: 53, channels: 1 }, { bits, compression: 8 });
    const image = await read(path);
    expect(
      firstDifference(
        image.data,
        data.map((v) => (v * 255) / top),
      ),
    ).toBe(-1);
    expect(image.notes).toContain(`${bits}-bit values widened to 8 bits`);
    expect(firstDifference((await read(path, { values: 'stored' })).data, data)).toBe(-1);
    const pixels = await sharp(path).toColourspace('b-w').raw().toBuffer();
    expect(firstDifference(pixels, image.data)).toBe(-1);
  });

  it.each(['uint8', 'uint16'] as const)('WhiteIsZero is inverted: %s', async (dtype) => {
    const image = pattern(60, 50, 1, dtype);
    const path = newFile();
    await writeTestTiff(path, image, { tile, compression: 8, photometric: 0 });
    const top = dtype === 'uint8' ? 255 : 65535;
    expect(
      firstDifference(
        (await read(path)).data,
        image.data.map((v) => top - v),
      ),
    ).toBe(-1);
  });

  it.each([4, 8])('a palette of %i bits becomes RGB, or indices on request', async (bits) => {
    const colours = 2 ** bits;
    const data = pattern(60, 50).data.map((v) => v % colours) as Uint8Array;
    const colourMap = Array.from({ length: 3 * colours }, (_, i) => (i * 2017) % 65536);
    const path = newFile();
    await writeTestTiff(
      path,
      { data, width: 60, height: 50, channels: 1 },
      { bits, compression: 8, photometric: 3, colourMap },
    );
    const image = await read(path);
    const expected = Array.from({ length: data.length * 3 }, (_, i) => {
      return colourMap[(i % 3) * colours + data[Math.floor(i / 3)]!]! >> 8;
    });
    expect(image.channels).toBe(3);
    expect(firstDifference(image.data, expected)).toBe(-1);
    expect(firstDifference(await sharp(path).raw().toBuffer(), expected)).toBe(-1);
    expect(firstDifference((await read(path, { values: 'stored' })).data, data)).toBe(-1);
  });

  it.each([
    ['float, 32 bits', 3, 32],
    ['float, 64 bits', 3, 64],
    ['signed, 16 bits', 2, 16],
    ['signed, 8 bits', 2, 8],
  ] as const)('%s: as stored, or as 0 to 1 of a range', async (_, format, bits) => {
    const signed = Float64Array.from(pattern(60, 50).data, (v) => (v - 128) / (format === 3 ? 7 : 1));
    const data = format === 3 && bits === 32 ? Float32Array.from(signed) : signed;
    for (const bigEndian of [false, true]) {
      const path = newFile();
      const picture = { data, width: 60, height: 50, channels: 1 };
      await writeTestTiff(path, picture, { format, bits, bigEndian, tile, compression: 8 });
      if (bits === 8) {
        const first = read(path).then((whole) => whole.data[0]);
        await expect(first).resolves.toBeCloseTo((data[0]! + 128) / 255);
      } else await expect(read(path)).rejects.toThrow(/set range \(--range\) to those of black and white/);
      const image = await read(path, { values: 'stored' });
      expect(image.dtype).toBe('float32');
      expect(firstDifference(image.data, Float32Array.from(data))).toBe(-1);
      const ranged = await read(path, { range: [-10, 15] });
      for (const [i, value] of ranged.data.entries()) {
        const expected = Math.min(1, Math.max(0, (data[i]! + 10) / 25));
        if (Math.abs(value - expected) > 1e-6) throw new Error(`${value} is not ${expected}`);
      }
    }
  });

  it('a range applies to integers, too: 12 bits in 16', async () => {
    const data = pattern(60, 50, 1, 'uint16').data.map((v) => v >> 4) as Uint16Array;
    const path = newFile();
    await writeTestTiff(path, { data, width: 60, height: 50, channels: 1 }, { compression: 8 });
    const { data: values } = await read(path, { range: [0, 4095] });
    expect(
      firstDifference(
        values,
        Float32Array.from(data, (v) => v * (1 / 4095)),
      ),
    ).toBe(-1);
  });

  it('lossless JPEG 2000 of RGB and of YCbCr', async () => {
    const encode = await jpeg2000Encoder();
    const image = pattern(100, 90, 3);
    const path = newFile();
    await writeTestTiff(path, image, { tile: { width: 64, height: 64 }, compression: 33005, encode });
    expect(firstDifference((await read(path)).data, image.data)).toBe(-1);

    const gray: TestImage = {
      ...image,
      data: Uint8Array.from(image.data, (v, i) => (i % 3 === 0 ? v : 128)),
    };
    const ycbcr = newFile();
    await writeTestTiff(ycbcr, gray, { tile: { width: 64, height: 64 }, compression: 33003, encode });
    const luma = Uint8Array.from(image.data, (_, i) => gray.data[i - (i % 3)]!);
    expect(firstDifference((await read(ycbcr)).data, luma)).toBe(-1);

    await writeTestTiff(path, image, { tile, compression: 33005, encode: () => Buffer.alloc(99, 7) });
    await expect(read(path)).rejects.toMatchObject({ code: 'corrupt-image' });
  });
});

describe('channels', () => {
  it('are read in the requested order, interleaved or planar', async () => {
    const image = pattern(50, 60, 5);
    for (const planar of [false, true]) {
      const path = newFile();
      await writeTestTiff(path, image, { planar, tile, compression: 8, photometric: 1 });
      const all = await read(path);
      expect(all.channelNames).toEqual([0, 1, 2, 3, 4].map((i) => `channel ${i}`));
      expect(firstDifference(all.data, image.data)).toBe(-1);
      const some = await read(path, { channels: [4, 1] });
      expect(some.channelNames).toEqual(['channel 4', 'channel 1']);
      const expected = Array.from(
        { length: 50 * 60 * 2 },
        (_, i) => image.data[(i >> 1) * 5 + (i % 2 ? 1 : 4)]!,
      );
      expect(firstDifference(some.data, expected)).toBe(-1);
      expect(await read(path, { channels: [2] })).toMatchObject({ channels: 1, channelNames: null });
    }
  });

  it('are selected in an image without random access, too', async () => {
    const image = pattern(50, 60, 3);
    const path = newFile();
    await sharp(image.data, { raw: { width: 50, height: 60, channels: 3 } })
      .png()
      .toFile(path);
    const green = await read(path, { channels: [1] });
    expect(
      firstDifference(
        green.data,
        image.data.filter((_, i) => i % 3 === 1),
      ),
    ).toBe(-1);
  });
});

describe('an OME-TIFF', () => {
  const [sizeC, sizeZ, sizeT] = [3, 5, 2];
  const planes = Array.from({ length: sizeC * sizeZ * sizeT }, (_, i) => {
    const { data } = pattern(48, 40);
    return { data: data.map((v) => (v + 7 * i) & 255) as Uint8Array, width: 48, height: 40, channels: 1 };
  });
  const xml = (order: string, blocks = '<TiffData/>') =>
    `<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">` +
    `<Pixels ID="Pixels:0" DimensionOrder="${order}" Type="uint8" SizeX="48" SizeY="40" SizeC="3" SizeZ="5" SizeT="2" ` +
    `PhysicalSizeX="325" PhysicalSizeXUnit="nm" PhysicalSizeY="0.65">` +
    `<Channel Name="DAPI"/><Channel Name="GFP"/><Channel Name="Cy5"/>${blocks}</Pixels></Image></OME>`;

  it.each([
    ['XYCZT', (c: number, z: number, t: number) => c + 3 * (z + 5 * t)],
    ['XYZTC', (c: number, z: number, t: number) => z + 5 * (t + 2 * c)],
  ] as const)('in order %s: channel, z and t are found', async (order, index) => {
    const path = newFile();
    const plain = { compression: 8, tile };
    await writeTestTiff(path, planes, [{ ...plain, description: xml(order) }, ...Array(29).fill(plain)]);
    const all = await read(path, { z: 3, t: 1 });
    expect(all).toMatchObject({
      channels: 3,
      channelNames: ['DAPI', 'GFP', 'Cy5'],
      mpp: { x: 0.325, y: 0.65 },
    });
    const expected = Array.from(
      { length: 48 * 40 * 3 },
      (_, i) => planes[index(i % 3, 3, 1)]!.data[Math.floor(i / 3)]!,
    );
    expect(firstDifference(all.data, expected)).toBe(-1);
    const one = await read(path, { channels: [2], z: 4 });
    expect(firstDifference(one.data, planes[index(2, 4, 0)]!.data)).toBe(-1);
    expect(one.notes).toEqual(['the image has 2 time points; the first is read']);
    await expect(openImage(path, { ...options, z: 5 })).rejects.toThrow(/no plane z 5: the image has 5/);
  });

  it('with planes in an explicit order', async () => {
    const path = newFile();
    const plain = { compression: 8, tile };
    const blocks = planes.map((_, i) => {
      const [c, z, t] = [i % 3, Math.floor(i / 3) % 5, Math.floor(i / 15)];
      return `<TiffData FirstC="${c}" FirstZ="${z}" FirstT="${t}" IFD="${29 - i}" PlaneCount="1"/>`;
    });
    const description = xml('XYCZT', blocks.join(''));
    await writeTestTiff(path, planes, [{ ...plain, description }, ...Array(29).fill(plain)]);
    const one = await read(path, { channels: [1], z: 2, t: 1 });
    expect(firstDifference(one.data, planes[29 - (1 + 3 * (2 + 5))]!.data)).toBe(-1);
  });

  it("Fiji's hyperstacks are read alike", async () => {
    const path = newFile();
    const description = 'ImageJ=1.54f\nimages=30\nchannels=3\nslices=5\nframes=2\nunit=micron\n';
    const resolution = { x: [4, 1] as [number, number], y: [4, 1] as [number, number], unit: 1 };
    const plain = { compression: 1 };
    await writeTestTiff(path, planes, [{ ...plain, description, resolution }, ...Array(29).fill(plain)]);
    const one = await read(path, { channels: [1], z: 2, t: 1 });
    expect(one.mpp).toEqual({ x: 0.25, y: 0.25 });
    expect(firstDifference(one.data, planes[1 + 3 * (2 + 5)]!.data)).toBe(-1);
  });
});

describe('pyramids', () => {
  const half = pattern(50, 40, 3);
  const quarter = pattern(25, 20, 3);

  it('in SubIFDs', async () => {
    const path = newFile();
    await writeTestTiff(path, pattern(100, 80, 3), {
      tile,
      compression: 8,
      children: [half, quarter],
      resolution: { x: [20_000, 1], y: [40_000, 2], unit: 3 },
    });
    const { levels, mpp } = await read(path);
    expect(levels.map(({ size }) => size.width)).toEqual([50, 25]);
    expect(firstDifference(levels[1]!.data, quarter.data)).toBe(-1);
    expect(mpp).toEqual({ x: 0.5, y: 0.5 });
    const level = await read(path, { level: 2 });
    expect(level.mpp).toEqual({ x: 2, y: 2 });
    expect(firstDifference(level.data, quarter.data)).toBe(-1);
  });

  it('in pages marked as reduced resolution', async () => {
    const path = newFile();
    const plain = { tile, compression: 8 };
    const reduced = { ...plain, newSubfileType: 1 };
    await writeTestTiff(
      path,
      [pattern(100, 80, 3), half, quarter, pattern(60, 60, 3)],
      [plain, reduced, reduced, plain],
    );
    expect((await read(path)).levels.map(({ size }) => size.width)).toEqual([50, 25]);
    expect((await read(path, { page: 3 })).levels).toEqual([]);
  });

  it('of Aperio, without its thumbnail, label and macro image', async () => {
    const path = newFile();
    const plain = { compression: 8 };
    const description =
      'Aperio Image Library v12\n100x80 [0,0 100x80] (32x48) |AppMag = 20|MPP = 0.4990|Left = 1';
    await writeTestTiff(
      path,
      [pattern(100, 80, 3), pattern(100, 80, 3), half, quarter, pattern(40, 39, 3), pattern(120, 30, 3)],
      [{ ...plain, tile, description }, plain, { ...plain, tile }, { ...plain, tile }, plain, plain],
    );
    const image = await read(path);
    expect(image.mpp).toEqual({ x: 0.499, y: 0.499 });
    expect(image.levels.map(({ size }) => size.width)).toEqual([50, 25]);
    await expect(openImage(path, { ...options, page: 4 })).rejects.toThrow(/label, macro image or thumbnail/);
  });
});

describe('pictures of the glass', () => {
  const plain = { compression: 8 };
  const pages = [1, 2, 3, 4].map((n) => pattern(40 + n, 30, 1));
  const isRefused = async (path: string, page: number) =>
    openImage(path, { ...options, page }).then(
      (source) => source.close().then(() => false),
      (error: Error) => /label, macro image or thumbnail/.test(error.message),
    );
  const refused = (path: string) => Promise.all(pages.map((_, page) => isRefused(path, page)));

  it('of Aperio are refused even where they have tiles', async () => {
    const path = newFile();
    const tiled = { ...plain, tile };
    await writeTestTiff(path, pages, [
      { ...tiled, description: 'Aperio Image Library v12' },
      { ...tiled, description: 'Aperio Image Library v12\r\nlabel 387x463' },
      { ...tiled, newSubfileType: 9 },
      { ...tiled, description: 'Aperio Image Library v12\n41x30 -> 20x15' },
    ]);
    expect(await refused(path)).toEqual([false, true, true, false]);
  });

  it('of any TIFF are refused by the names of their pages', async () => {
    const path = newFile();
    const named = (description: string) => ({ ...plain, description });
    await writeTestTiff(path, pages, [plain, named('Macro'), named('label image'), named('label-free')]);
    expect(await refused(path)).toEqual([false, true, true, false]);
  });

  it.each([
    ['', [false, true, true, false]],
    ['<TiffData IFD="2" PlaneCount="1"/>', [false, false, true, true]],
  ] as const)('of an OME-TIFF are refused by the names of its images %s', async (block, expected) => {
    const path = newFile();
    const image = (name: string, blocks: string) =>
      `<Image Name="${name}"><Pixels SizeX="41" SizeY="30" SizeC="1" SizeZ="1" SizeT="1" Type="uint8" DimensionOrder="XYCZT">${blocks}</Pixels></Image>`;
    const description = `<OME>${image('slide.svs', '')}${image('slide.svs [label]', block)}${image('macro image', '')}${image('tissue', '')}</OME>`;
    await writeTestTiff(path, pages, [{ ...plain, description }, plain, plain, plain]);
    expect(await refused(path)).toEqual(expected);
    await (await openImage(path, options)).close();
  });

  it('of an OME-TIFF are refused where its XML is damaged, or when they come first', async () => {
    const damaged = newFile();
    const xml = '<OME><Image Name="label"><Pixels SizeC="x" SizeZ="1" SizeT="1"/></Image></OME>';
    await writeTestTiff(damaged, pages, [{ ...plain, description: xml }, plain, plain, plain]);
    expect(await refused(damaged)).toEqual([true, true, true, true]);
    const first = newFile();
    const whole = xml.replace('"x"', '"1"');
    await writeTestTiff(first, pages, [{ ...plain, description: whole }, plain, plain, plain]);
    await expect(openImage(first, options)).rejects.toThrow(/first image .* label or macro/);
    expect(await refused(first)).toEqual([true, false, false, false]);
  });
});

it('resolution in inches, and a pixel size of the user', async () => {
  const path = newFile();
  const resolution = { x: [50_800, 1] as [number, number], y: [25_400, 2] as [number, number], unit: 2 };
  await writeTestTiff(path, pattern(20, 20), { compression: 8, resolution });
  expect((await read(path)).mpp).toEqual({ x: 0.5, y: 2 });
  expect((await read(path, { mpp: { x: 0.3, y: 0.3 } })).mpp).toEqual({ x: 0.3, y: 0.3 });
});
