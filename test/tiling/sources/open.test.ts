import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { Dtype, Raster } from '../../../tiling/raster.js';
import { openImage } from '../../../tiling/sources/open.js';
import { testFolder } from '../../support/files.js';
import { firstDifference, pattern } from '../../support/rasters.js';
import { claimGiantSides, writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
const options = { scratchDir: folder, maxPixels: 1e9 };

/** Opens a file, reads regions of it, and compares them with the original pixels. */
async function expectPixels(path: string, image: Raster, channels = image.channels): Promise<void> {
  const source = await openImage(path, options);
  try {
    expect(source.size).toEqual({ width: image.width, height: image.height });
    expect(source.facts.channels).toBe(channels);
    const { width, height } = image;
    for (const rect of [
      { x: 0, y: 0, width, height },
      { x: 5, y: 7, width: Math.min(40, width - 5), height: Math.min(33, height - 7) },
      { x: width - 1, y: height - 1, width: 1, height: 1 },
      { x: 0, y: 3, width, height: 2 },
    ]) {
      const region = await source.readRegion(rect);
      const expected = region.data.map((_, i) => {
        const [c, x] = [i % channels, rect.x + (Math.floor(i / channels) % rect.width)];
        const y = rect.y + Math.floor(i / channels / rect.width);
        return image.data[(y * width + x) * image.channels + c]!;
      });
      expect(firstDifference(region.data, expected)).toBe(-1);
    }
  } finally {
    await source.close();
  }
}

function encoded({ data, width, height, channels }: Raster) {
  const deep = data instanceof Uint16Array;
  const picture = sharp(data, { raw: { width, height, channels: channels as 1 | 3 } });
  return picture.toColourspace(channels < 3 ? (deep ? 'grey16' : 'b-w') : deep ? 'rgb16' : 'srgb');
}

const kinds: [channels: number, dtype: Dtype][] = [
  [1, 'uint8'],
  [1, 'uint16'],
  [3, 'uint8'],
  [3, 'uint16'],
];

describe('an image without random access', () => {
  it.each(kinds)('PNG of %i channels, %s', async (channels, dtype) => {
    const image = pattern(83, 61, channels, dtype);
    const path = join(folder, `p${channels}${dtype}.png`);
    await encoded(image).png().toFile(path);
    await expectPixels(path, image);
  });

  it.each(kinds)('PNG of %i channels, %s, that is too large for memory', async (channels, dtype) => {
    const image = pattern(2300, 1900, channels, dtype);
    const path = join(folder, `large${channels}${dtype}.png`);
    await encoded(image).png({ compressionLevel: 1 }).toFile(path);
    await expectPixels(path, image);
  });

  it('drops alpha, with a note', async () => {
    for (const channels of [2, 4]) {
      const image = pattern(50, 40, channels);
      const path = join(folder, `alpha${channels}.png`);
      await encoded(image).png().toFile(path);
      await expectPixels(path, image, channels - 1);
      const source = await openImage(path, options);
      expect(source.facts.notes).toContain('alpha dropped');
      await source.close();
    }
  });

  it("JPEG, ignoring the camera's orientation, with a note", async () => {
    const path = join(folder, 'turned.jpg');
    await encoded(pattern(60, 40, 3))
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toFile(path);
    const source = await openImage(path, options);
    expect(source.size).toEqual({ width: 60, height: 40 });
    expect(source.facts.notes).toEqual(['EXIF orientation 6 ignored']);
    await source.close();
    const data = await sharp(path).raw().toBuffer();
    await expectPixels(path, { data: new Uint8Array(data), width: 60, height: 40, channels: 3 });
  });

  it('leaves nothing in the scratch folder', async () => {
    expect((await readdir(folder)).filter((name) => name.endsWith('.v'))).toEqual([]);
  });
});

describe('TIFF', () => {
  const layouts = [
    ['strips', {}],
    ['tiles', { tile: true, tileWidth: 32, tileHeight: 48 }],
  ] as const;
  const compressions = [['none'], ['lzw'], ['deflate']] as const;
  for (const [layout, tiling] of layouts) {
    for (const [compression] of compressions) {
      for (const predictor of ['none', 'horizontal'] as const) {
        if (compression === 'none' && predictor === 'horizontal') continue;
        it.each(kinds)(
          `${layout}, ${compression}, predictor ${predictor}: %i channels, %s`,
          async (channels, dtype) => {
            const image = pattern(150, 110, channels, dtype);
            const path = join(folder, `t-${layout}-${compression}-${predictor}-${channels}${dtype}.tif`);
            await encoded(image)
              .tiff({ compression, predictor, ...tiling })
              .toFile(path);
            await expectPixels(path, image);
          },
        );
      }
    }
  }

  it.each([1, 3])('JPEG tiles of %i channels decode as libvips decodes the file', async (channels) => {
    const path = join(folder, `jpeg${channels}.tif`);
    await encoded(pattern(150, 110, channels))
      .tiff({ compression: 'jpeg', quality: 60, tile: true, tileWidth: 64, tileHeight: 64 })
      .toFile(path);
    const { data, info } = await sharp(path)
      .toColourspace(channels === 1 ? 'b-w' : 'srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    await expectPixels(path, {
      data: new Uint8Array(data),
      width: 150,
      height: 110,
      channels: info.channels,
    });
  });

  it('JPEG strips decode as libvips decodes the file', async () => {
    const path = join(folder, 'jpeg-strips.tif');
    await encoded(pattern(150, 110, 3))
      .tiff({ compression: 'jpeg', quality: 60 })
      .toFile(path);
    const data = await sharp(path).raw().toBuffer();
    await expectPixels(path, { data: new Uint8Array(data), width: 150, height: 110, channels: 3 });
  });

  it('JPEG tiles in RGB, as in files of Aperio, are not converted from YCbCr', async () => {
    const path = join(folder, 'rgb-jpeg.tif');
    const image = pattern(64, 64, 3);
    // Tiles that a decoder would assume to be YCbCr by default: the pixels are the YCbCr of a JPEG
    // without its marker, so the expected pixels are the stored components themselves.
    await writeTestTiff(path, image, { tile: { width: 64, height: 64 }, compression: 7, photometric: 6 });
    const asYcbcr = await openImage(path, options).then(async (s) => ({
      s,
      r: await s.readRegion({ x: 0, y: 0, width: 64, height: 64 }),
    }));
    await asYcbcr.s.close();
    const mean = (a: ArrayLike<number>, b: ArrayLike<number>) =>
      Array.from(a).reduce((sum, v, i) => sum + Math.abs(v - b[i]!), 0) / a.length;
    expect(mean(asYcbcr.r.data, image.data)).toBeLessThan(8);
    const bytes = await readFile(path);
    const at = bytes.indexOf(Buffer.from([262 & 255, 262 >> 8, 3, 0, 1, 0, 0, 0, 6, 0]));
    bytes[at + 8] = 2; // photometric: RGB
    await writeFile(path, bytes);
    const asRgb = await openImage(path, options).then(async (s) => ({
      s,
      r: await s.readRegion({ x: 0, y: 0, width: 64, height: 64 }),
    }));
    await asRgb.s.close();
    // Rec. 601: the first stored component is luma
    const luma = Array.from(
      { length: 64 * 64 },
      (_, i) =>
        0.299 * asYcbcr.r.data[3 * i]! +
        0.587 * asYcbcr.r.data[3 * i + 1]! +
        0.114 * asYcbcr.r.data[3 * i + 2]!,
    );
    expect(
      mean(
        asRgb.r.data.filter((_, i) => i % 3 === 0),
        luma,
      ),
    ).toBeLessThan(1.5);
  });

  it.each([1, 2] as const)('16 bits in big-endian order, predictor %i', async (predictor) => {
    const image = pattern(90, 70, 3, 'uint16');
    const path = join(folder, `be${predictor}.tif`);
    await writeTestTiff(path, image, {
      tile: { width: 32, height: 16 },
      compression: 8,
      predictor,
      bigEndian: true,
    });
    await expectPixels(path, image);
  });

  it('drops the alpha of RGBA', async () => {
    const image = pattern(70, 50, 4);
    const path = join(folder, 'rgba.tif');
    await writeTestTiff(path, image, { tile: { width: 32, height: 32 }, compression: 8, extraSamples: 2 });
    await expectPixels(path, image, 3);
  });

  it('one strip for a large image is unpacked to a scratch file', async () => {
    const image = pattern(5000, 4000, 1);
    const path = join(folder, 'one-strip.tif');
    await encoded(image).tiff({ compression: 'deflate', tile: false }).toFile(path);
    await expectPixels(path, image);
  });

  it('preserves its pixel size', async () => {
    const path = join(folder, 'resolution.tif');
    await encoded(pattern(20, 20)).tiff({ xres: 4000, yres: 2000, resolutionUnit: 'cm' }).toFile(path);
    const source = await openImage(path, options);
    expect(source.facts.mpp).toEqual({ x: expect.closeTo(0.25, 6), y: expect.closeTo(0.5, 6) });
    await source.close();
  });
});

describe('an unsupported or damaged image is refused with its reason', () => {
  const file = async (name: string, bytes: Buffer) => {
    const path = join(folder, name);
    await writeFile(path, bytes);
    return path;
  };
  const refused = async (path: string, code: string, message: RegExp, limit = 1e9) => {
    const read = async () => {
      const source = await openImage(path, { ...options, maxPixels: limit });
      try {
        const { width, height } = source.size;
        await source.readRegion({ x: 0, y: 0, width, height });
      } finally {
        await source.close();
      }
    };
    await expect(read()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  };

  it('an empty file', async () =>
    refused(await file('empty', Buffer.alloc(0)), 'unsupported-image', /0 bytes/));
  it('text', async () =>
    refused(await file('text.png', Buffer.from('hello')), 'unsupported-image', /not a supported image/));
  it('SVG', async () =>
    refused(await file('a.svg', Buffer.from('<svg/>')), 'unsupported-image', /not a supported image/));

  it('a truncated PNG', async () => {
    const png = await encoded(pattern(200, 200)).png().toBuffer();
    await refused(
      await file('cut.png', png.subarray(0, png.length / 2)),
      'corrupt-image',
      /cannot be decoded/,
    );
  });

  it('a truncated TIFF', async () => {
    const path = join(folder, 'cut.tif');
    await writeTestTiff(path, pattern(200, 200), { tile: { width: 64, height: 64 }, compression: 1 });
    const bytes = await readFile(path);
    await truncate(path, bytes.length - 40);
    await refused(path, 'corrupt-image', /directory is beyond its end/);
  });

  it('a TIFF whose tag declares more values than the file has', async () => {
    const path = join(folder, 'greedy.tif');
    await writeTestTiff(path, pattern(200, 200), { tile: { width: 64, height: 64 }, compression: 8 });
    const bytes = await readFile(path);
    const at = bytes.indexOf(Buffer.from([324 & 255, 324 >> 8, 4, 0, 16, 0, 0, 0]));
    bytes.writeUInt32LE(0x7000_0000, at + 4);
    await refused(await file('greedy.tif', bytes), 'corrupt-image', /tag 324 claims 7516192768 bytes/);
  });

  it('a TIFF with two values in a tag of one', async () => {
    const path = join(folder, 'two.tif');
    await writeTestTiff(path, pattern(64, 64), { tile: { width: 64, height: 64 }, compression: 8 });
    const bytes = await readFile(path);
    bytes.writeUInt32LE(2, bytes.indexOf(Buffer.from([277 & 255, 277 >> 8, 3, 0, 1, 0, 0, 0])) + 4);
    await refused(
      await file('two.tif', bytes),
      'corrupt-image',
      /samples per pixel is not a positive integer/,
    );
  });

  it('a TIFF without its list of chunks', async () => {
    const path = join(folder, 'lost.tif');
    await writeTestTiff(path, pattern(200, 200), { tile: { width: 64, height: 64 }, compression: 8 });
    const bytes = await readFile(path);
    const list = bytes.indexOf(Buffer.from([325 & 255, 325 >> 8, 4, 0, 16, 0, 0, 0]));
    const at = bytes.readUInt32LE(list + 8);
    bytes.fill(0, at + 44, at + 64);
    await refused(await file('lost.tif', bytes), 'corrupt-image', /list of chunks is damaged/);
  });

  it('a TIFF whose chunks lie beyond its end', async () => {
    const path = join(folder, 'behind.tif');
    await writeTestTiff(path, pattern(64, 64), { tile: { width: 64, height: 64 }, compression: 8 });
    const bytes = await readFile(path);
    const at = bytes.indexOf(Buffer.from([325 & 255, 325 >> 8, 4, 0, 1, 0, 0, 0]));
    bytes.writeUInt32LE(1e8, at + 8);
    await refused(await file('behind.tif', bytes), 'corrupt-image', /truncated: chunk 0 ends at byte/);
  });

  it('a chunk that does not match its compression', async () => {
    const path = join(folder, 'garbage.tif');
    await writeTestTiff(path, pattern(64, 64), { tile: { width: 64, height: 64 }, compression: 8 });
    const bytes = await readFile(path);
    bytes.fill(0x55, 8, 40);
    await refused(await file('garbage.tif', bytes), 'corrupt-image', /chunk 0 of the TIFF cannot be decoded/);
  });

  it('a header that declares 2^31 px a side', async () => {
    const path = join(folder, 'giant.tif');
    await writeTestTiff(path, pattern(16, 16), { tile: { width: 16, height: 16 }, compression: 8 });
    const bytes = claimGiantSides(await readFile(path));
    expect(bytes.length).toBeLessThan(1024);
    await refused(await file('giant.tif', bytes), 'image-too-large', /2147483648 × 2147483648/);
  });

  it('a channel, plane, page or level that does not exist', async () => {
    const path = join(folder, 'five.tif');
    await writeTestTiff(path, pattern(32, 32, 5), { compression: 8, photometric: 1 });
    for (const [choice, message] of [
      [{ channels: [5] }, /no channel 5: the image has 5/],
      [{ z: 1 }, /no plane z 1: the image has 1/],
      [{ page: 1 }, /no page 1: the TIFF has 1/],
      [{ level: 1 }, /no level 1: the image has 1/],
    ] as const) {
      await expect(openImage(path, { ...options, ...choice })).rejects.toMatchObject({
        code: 'unsupported-image',
        message: expect.stringMatching(message),
      });
    }
  });

  it('more pixels than the limit', async () => {
    const png = await encoded(pattern(200, 200)).png().toBuffer();
    await refused(await file('large.png', png), 'image-too-large', /limit is 39999/, 39_999);
  });
});
