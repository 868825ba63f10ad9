import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fromFile } from 'geotiff';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { Size } from '../../tiling/geometry.js';
import { planTiles } from '../../tiling/plan.js';
import type { MaskArray, MaskSink } from '../../tiling/sink.js';
import { MemorySink } from '../../tiling/sinks/memory.js';
import { OverlaySink } from '../../tiling/sinks/overlay.js';
import { PngSink } from '../../tiling/sinks/png.js';
import { rational, TiffSink } from '../../tiling/sinks/tiff.js';
import { memorySource } from '../../tiling/sources/memory.js';
import { openImage } from '../../tiling/sources/open.js';
import { testFolder } from '../support/files.js';
import { even, firstDifference, pattern } from '../support/rasters.js';

const folder = await testFolder();
const rule = { halo: even(3), multiple: 4, smallest: 10 };

/** Gives a mask to a sink as the bands of a plan of so many px a tile. */
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
    await sink.writeBand(write, band);
  }
  await sink.finish();
}

/** Tiles from the smallest to one that covers the image. */
const tilesFor = ({ width, height }: Size) => [10, 306, 10 + 4 * Math.ceil(Math.max(width, height) / 4)];

describe.each([
  { width: 1, height: 1 },
  { width: 300, height: 517 },
  { width: 9000, height: 60 },
])('a mask of $width×$height px', (size) => {
  const labels = pattern(size.width, size.height).data as Uint8Array;
  const floats = Float32Array.from(pattern(size.width, size.height, 3).data, (v) => v / 255);
  const resolution = { x: 40_000, y: 20_000, unit: 3 as const };

  it('as PNG has the same bytes whatever the plan, and libvips reads it', async () => {
    const files: Buffer[] = [];
    for (const tile of tilesFor(size)) {
      const path = join(folder, `mask-${size.width}-${tile}.png`);
      await writeInBands(
        await PngSink.create(path, size, { channels: 1, resolution }),
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

  it('as TIFF has the same bytes whatever the plan, and libvips reads it', async () => {
    const files: Buffer[] = [];
    for (const tile of tilesFor(size)) {
      const path = join(folder, `mask-${size.width}-${tile}.tif`);
      await writeInBands(
        await TiffSink.create(path, size, { channels: 1, dtype: 'uint8', resolution }),
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
    expect(source.resolution).toEqual(resolution);
    expect(firstDifference((await source.readRegion({ x: 0, y: 0, ...size })).data, labels)).toBe(-1);
    await source.close();
  });

  it('as probabilities keeps every bit', async () => {
    const files: Buffer[] = [];
    for (const tile of tilesFor(size)) {
      const path = join(folder, `p-${size.width}-${tile}.tif`);
      const sink = await TiffSink.create(path, size, { channels: 3, dtype: 'float32', resolution: null });
      await writeInBands(sink, floats, size, 3, tile);
      files.push(await readFile(path));
    }
    expect(files.every((file) => file.equals(files[0]!))).toBe(true);
    const tiff = await fromFile(join(folder, `p-${size.width}-10.tif`));
    const read = await (await tiff.getImage()).readRasters({ interleave: true });
    tiff.close();
    expect(firstDifference(read as Float32Array, floats)).toBe(-1);
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

describe('an aborted sink', () => {
  it('leaves no file', async () => {
    const size = { width: 9000, height: 30 };
    const before = await readdir(folder);
    const sinks = [
      await PngSink.create(join(folder, 'gone.png'), size, { channels: 1, resolution: null }),
      await TiffSink.create(join(folder, 'gone.tif'), size, {
        channels: 1,
        dtype: 'uint8',
        resolution: null,
      }),
    ];
    for (const sink of sinks) {
      await sink.writeBand({ x: 0, y: 0, width: 8192, height: 20 }, new Uint8Array(8192 * 20));
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
