import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fromFile } from 'geotiff';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { Size } from '../../../tiling/geometry.js';
import { planTiles } from '../../../tiling/plan.js';
import type { MaskArray, MaskSink } from '../../../tiling/sink.js';
import { MemorySink } from '../../../tiling/sinks/memory.js';
import { OverlaySink } from '../../../tiling/sinks/overlay.js';
import { PngSink } from '../../../tiling/sinks/png.js';
import { levelSizes } from '../../../tiling/sinks/tiff/level.js';
import { TiffSink } from '../../../tiling/sinks/tiff/tiff.js';
import { memorySource } from '../../../tiling/sources/memory.js';
import { openImage } from '../../../tiling/sources/open.js';
import { rational } from '../../../tiling/tiff/big-tiff.js';
import { testFolder } from '../../support/files.js';
import { even, firstDifference, pattern } from '../../support/rasters.js';

const folder = await testFolder();
const rule = { halo: even(3), multiple: 4, smallest: 10 };

/** Writes a mask to a sink in the bands of a plan with the given tile size. */
async function writeInBands(
  sink: MaskSink,
  data: MaskArray,
  size: Size,
  channels: number,
  tile: number,
): Promise<void> {
  for (const { write } of planTiles(size, { tile: { width: tile, height: tile }, rule }).bands()) {
    const band = new (data.constructor as typeof Float32Array)(write.width * write.height * channels);
    for (let row = 0; row < write.height; row++) {
      const from = ((write.y + row) * size.width + write.x) * channels;
      band.set(data.subarray(from, from + write.width * channels), row * write.width * channels);
    }
    await sink.writeBand(write, band, 0);
  }
  await sink.finish();
}

/** Tiles from the smallest to one that covers the image. */
const tilesFor = ({ width, height }: Size) => [10, 306, 10 + 4 * Math.ceil(Math.max(width, height) / 4)];

describe.each([
  { width: 1, height: 1 },
  { width: 300, height: 517 },
  { width: 9000, height: 60 },
  { width: 1100, height: 1000 },
])('a mask of $width×$height px', (size) => {
  const labels = pattern(size.width, size.height).data as Uint8Array;
  const floats = Float32Array.from(pattern(size.width, size.height, 3).data, (v) => v / 255);
  const mpp = { x: 0.25, y: 0.5 };

  it('as PNG has the same bytes for any plan, and libvips reads it', async () => {
    const files: Buffer[] = [];
    for (const tile of tilesFor(size)) {
      const path = join(folder, `mask-${size.width}-${tile}.png`);
      await writeInBands(
        await PngSink.create(path, size, { channels: 1, mpp, isLabels: true }),
        labels,
        size,
        1,
        tile,
      );
      files.push(await readFile(path));
    }
    expect(files.every((file) => file.equals(files[0]!))).toBe(true);
    const picture = sharp(files[0]!);
    const metadata = await picture.metadata();
    expect(metadata).toMatchObject({ ...size, channels: 1, depth: 'uchar', density: 101600 });
    expect(firstDifference(await picture.toColourspace('b-w').raw().toBuffer(), labels)).toBe(-1);
  });

  it('as TIFF has the same bytes for any plan, and libvips reads it', async () => {
    const files: Buffer[] = [];
    for (const tile of tilesFor(size)) {
      const path = join(folder, `mask-${size.width}-${tile}.tif`);
      await writeInBands(
        await TiffSink.create(path, size, { channels: 1, dtype: 'uint8', mpp, overviews: 'majority' }),
        labels,
        size,
        1,
        tile,
      );
      files.push(await readFile(path));
    }
    expect(files.every((file) => file.equals(files[0]!))).toBe(true);
    const picture = sharp(files[0]!);
    expect(await picture.metadata()).toMatchObject({ ...size, channels: 1, density: 101600 });
    expect(firstDifference(await picture.toColourspace('b-w').raw().toBuffer(), labels)).toBe(-1);
    const path = join(folder, `mask-${size.width}-10.tif`);
    const source = await openImage(path, { scratchDir: folder, maxPixels: 1e9 });
    expect(source.facts.mpp).toEqual(mpp);
    expect(firstDifference((await source.readRegion({ x: 0, y: 0, ...size })).data, labels)).toBe(-1);
    await source.close();
  });

  it('as probabilities is lossless', async () => {
    const files: Buffer[] = [];
    for (const tile of tilesFor(size)) {
      const path = join(folder, `p-${size.width}-${tile}.tif`);
      const sink = await TiffSink.create(path, size, {
        channels: 3,
        dtype: 'float32',
        mpp: null,
        overviews: 'mean',
      });
      await writeInBands(sink, floats, size, 3, tile);
      files.push(await readFile(path));
    }
    expect(files.every((file) => file.equals(files[0]!))).toBe(true);
    const tiff = await fromFile(join(folder, `p-${size.width}-10.tif`));
    expect(await tiff.getImageCount()).toBe(3);
    for (const channel of [0, 1, 2]) {
      const [read] = (await (await tiff.getImage(channel)).readRasters()) as Float32Array[];
      expect(
        firstDifference(
          read!,
          floats.filter((_, i) => i % 3 === channel),
        ),
      ).toBe(-1);
    }
    tiff.close();
    const path = join(folder, `p-${size.width}-10.tif`);
    const source = await openImage(path, { scratchDir: folder, maxPixels: 1e9, values: 'stored' });
    expect(source.facts).toMatchObject({ channels: 3 });
    expect(firstDifference((await source.readRegion({ x: 0, y: 0, ...size })).data, floats)).toBe(-1);
    await source.close();
  });

  it('as overlay tints the classes that have a colour', async () => {
    const classes = labels.map((v) => v % 3);
    const image = pattern(size.width, size.height, 1, 'uint16');
    const inner = new MemorySink(size, 3);
    const overlay = new OverlaySink(inner, memorySource(image), [null, [255, 0, 0], [0, 0, 255]]);
    await writeInBands(overlay, classes, size, 1, tilesFor(size)[2]!);
    const expected = Array.from({ length: classes.length * 3 }, (_, i) => {
      const gray = image.data[Math.floor(i / 3)]! >> 8;
      const label = classes[Math.floor(i / 3)]!;
      if (label === 0) return gray;
      return Math.round(gray * 0.55 + ((label === 1 ? i % 3 === 0 : i % 3 === 2) ? 255 : 0) * 0.45);
    });
    expect(firstDifference(inner.data!, expected)).toBe(-1);
  });
});

describe.each([
  { width: 1000, height: 700 },
  { width: 20_001, height: 331 },
])('the pyramid of $width×$height px', (size) => {
  const labels = pattern(size.width, size.height).data.map((v) => v >> 5) as Uint8Array;
  const classes = Array.from({ length: 8 }, (_, i) => ({
    name: i === 3 ? 'a <b> & "c"' : `class ${i}`,
    colour: i === 0 ? null : `#0${i}ff80`,
  }));

  /** Four pixels of the level above a pixel; an odd side's last one counts twice. */
  const four = (above: ArrayLike<number>, { width, height }: Size, i: number, channels = 1) => {
    const [w, pixel] = [Math.ceil(width / 2), Math.floor(i / channels)];
    const [x, y] = [(pixel % w) * 2, Math.floor(pixel / w) * 2];
    return [y, Math.min(y + 1, height - 1)].flatMap((row) =>
      [x, Math.min(x + 1, width - 1)].map((c) => above[(row * width + c) * channels + (i % channels)]!),
    );
  };

  it('of labels holds majorities, in tiles, with names and colours, as read by libvips and geotiff', async () => {
    const path = join(folder, `pyramid-${size.width}.tif`);
    const format = {
      channels: 1,
      dtype: 'uint8',
      mpp: { x: 0.5, y: 0.5 },
      overviews: 'majority',
      classes,
    } as const;
    await writeInBands(await TiffSink.create(path, size, format), labels, size, 1, 306);
    const tiff = await fromFile(path);
    const { fileDirectory } = await tiff.getImage();
    expect(await fileDirectory.loadValue('ImageDescription')).toContain(
      '<M K="3">a &lt;b&gt; &amp; &quot;c&quot;</M>',
    );
    expect(await fileDirectory.loadValue('PhotometricInterpretation')).toBe(3);
    tiff.close();
    const source = await openImage(path, { scratchDir: folder, maxPixels: 1e9, values: 'stored' });
    const sizes = levelSizes(size);
    expect(source.overviews.map((level) => level.size)).toEqual(sizes.slice(1));
    let above: ArrayLike<number> = labels;
    for (const [i, level] of source.overviews.entries()) {
      const { data } = await level.readRegion({ x: 0, y: 0, ...level.size });
      const wrong = data.findIndex((value, at) => {
        const pixels = four(above, sizes[i]!, at);
        const count = (v: number) => pixels.filter((p) => p === v).length;
        const most = Math.max(...pixels.map(count));
        return value !== pixels.find((p) => count(p) === most);
      });
      expect(wrong).toBe(-1);
      const shown = await sharp(path, { subifd: i }).raw().toBuffer({ resolveWithObject: true });
      expect(shown.info).toMatchObject(level.size);
      const expected = Array.from({ length: data.length * 3 }, (_, at) => {
        const colour = classes[data[Math.floor(at / 3)]!]!.colour ?? '#000000';
        return Number.parseInt(colour.slice(1 + 2 * (at % 3), 3 + 2 * (at % 3)), 16);
      });
      expect(firstDifference(shown.data, expected)).toBe(-1);
      above = data;
    }
    await source.close();
  });

  it('of probabilities has a named channel for each class', async () => {
    const path = join(folder, `channels-${size.width}.tif`);
    const three = classes.slice(2, 5);
    const sink = await TiffSink.create(path, size, {
      name: 'probabilities',
      channels: 3,
      dtype: 'float32',
      mpp: null,
      overviews: 'mean',
      classes: three,
    });
    await writeInBands(sink, new Float32Array(labels.length * 3), size, 3, 306);
    const source = await openImage(path, { scratchDir: folder, maxPixels: 1e9, values: 'stored' });
    expect(source.facts.channelNames).toEqual(three.map(({ name }) => name));
    expect(source.overviews.map((level) => level.size)).toEqual(levelSizes(size).slice(1));
    await source.close();
    const tiff = await fromFile(path);
    const { fileDirectory } = await tiff.getImage();
    const xml = await fileDirectory.loadValue('ImageDescription');
    expect(xml).toContain('<Image ID="Image:0" Name="probabilities">');
    expect(String(xml).match(/SamplesPerPixel="1"/g)).toHaveLength(3);
    tiff.close();
  });

  it('of probabilities holds means', async () => {
    const floats = Float32Array.from(labels, (v, i) => v / 8 + (i % 5) / 64);
    const path = join(folder, `means-${size.width}.tif`);
    const format = { channels: 1, dtype: 'float32', mpp: null, overviews: 'mean' } as const;
    await writeInBands(await TiffSink.create(path, size, format), floats, size, 1, 306);
    const source = await openImage(path, { scratchDir: folder, maxPixels: 1e9, values: 'stored' });
    const sizes = levelSizes(size);
    let above: ArrayLike<number> = floats;
    for (const [i, level] of source.overviews.entries()) {
      const { data } = await level.readRegion({ x: 0, y: 0, ...level.size });
      const means = Float32Array.from(
        data,
        (_, at) => four(above, sizes[i]!, at).reduce((a, b) => a + b) / 4,
      );
      expect(firstDifference(data, means)).toBe(-1);
      above = data;
    }
    await source.close();
  });
});

describe('an aborted sink', () => {
  it('leaves no file', async () => {
    const size = { width: 9000, height: 30 };
    const before = await readdir(folder);
    const sinks = [
      await PngSink.create(join(folder, 'gone.png'), size, { channels: 1, mpp: null }),
      await TiffSink.create(join(folder, 'gone.tif'), size, {
        channels: 1,
        dtype: 'uint8',
        mpp: null,
        overviews: 'majority',
      }),
    ];
    for (const sink of sinks) {
      await sink.writeBand({ x: 0, y: 0, width: 8192, height: 20 }, new Uint8Array(8192 * 20), 0);
      expect(await readdir(folder)).not.toEqual(before);
      await sink.abort();
    }
    expect(await readdir(folder)).toEqual(before);
  });
});

describe('rational', () => {
  it.each([
    [40_000, [40_000, 1]],
    [0.5, [1, 2]],
    [1 / 3, [1, 3]],
    [20_040.08016, undefined],
  ] as const)('%f is the nearest fraction of two 32-bit integers', (value, expected) => {
    const [n, d] = rational(value);
    if (expected) expect([n, d]).toEqual(expected);
    expect(Math.abs(n / d - value) / value).toBeLessThan(1e-9);
  });
});
