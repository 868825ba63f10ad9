import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { resampleLinear, resampleNearest } from '../../tiling/resample.js';
import { shrink } from '../../tiling/shrink.js';
import { memorySource } from '../../tiling/sources/memory.js';
import { findTissue, tissueFromMask } from '../../tiling/tissue.js';
import { firstDifference, pattern } from '../support/rasters.js';

describe('resampleLinear', () => {
  it.each([[{ width: 83, height: 61 }], [{ width: 300, height: 170 }], [{ width: 120, height: 90 }]])(
    'to %o is close to the result of libvips, and the same for any region',
    async (size) => {
      const image = pattern(120, 90, 3);
      const source = memorySource(image);
      const small = resampleLinear(source, source, size);
      const { data } = await small.readRegion({ x: 0, y: 0, ...size });
      const theirs = await sharp(image.data, { raw: { width: 120, height: 90, channels: 3 } })
        .resize({ ...size, kernel: 'linear', fit: 'fill' })
        .raw()
        .toBuffer();
      let off = 0;
      for (const [i, value] of data.entries()) off += Math.abs(value - theirs[i]!) / data.length;
      // libvips uses another convention for the centres of enlarged pixels.
      if (size.width <= 120) expect(off).toBeLessThan(1.5);
      else expect(off).toBeLessThan(6);
      const rect = { x: 17, y: 9, width: 40, height: 30 };
      const part = await small.readRegion(rect);
      const expected = part.data.map((_, i) => {
        const pixel = Math.floor(i / 3);
        const at = (rect.y + Math.floor(pixel / rect.width)) * size.width + rect.x + (pixel % rect.width);
        return data[at * 3 + (i % 3)]!;
      });
      expect(firstDifference(part.data, expected)).toBe(-1);
    },
  );

  it('interpolates linearly between pixel centres when enlarging', async () => {
    const source = memorySource({ data: Uint8Array.of(0, 100, 200), width: 3, height: 1, channels: 1 });
    const { data } = await resampleLinear(source, source, { width: 6, height: 1 }).readRegion({
      x: 0,
      y: 0,
      width: 6,
      height: 1,
    });
    expect([...data]).toEqual([0, 25, 75, 125, 175, 200]);
  });

  it('to the same size is the identity', async () => {
    const image = pattern(50, 40);
    const source = memorySource(image);
    const { data } = await resampleLinear(source, source, source.size).readRegion({
      x: 0,
      y: 0,
      width: 50,
      height: 40,
    });
    expect(firstDifference(data, image.data)).toBe(-1);
  });
});

it('a mask resampled by nearest holds the nearest pixel everywhere', async () => {
  const mask = pattern(30, 20);
  const size = { width: 97, height: 71 };
  const { data } = await resampleNearest(memorySource(mask), size).readRegion({
    x: 5,
    y: 7,
    width: 60,
    height: 50,
  });
  const expected = data.map((_, i) => {
    const [x, y] = [5 + (i % 60), 7 + Math.floor(i / 60)];
    return mask.data[Math.floor(((y + 0.5) * 20) / 71) * 30 + Math.floor(((x + 0.5) * 30) / 97)]!;
  });
  expect(firstDifference(data, expected)).toBe(-1);
});

it('shrink averages squares, at the edges over the pixels that exist', async () => {
  const image = pattern(103, 50, 3);
  const { raster, scale } = await shrink(memorySource(image), 30);
  expect([raster.width, raster.height, scale]).toEqual([26, 13, 4]);
  const mean = (x: number, y: number, c: number) => {
    const values: number[] = [];
    for (let j = 4 * y; j < Math.min(50, 4 * y + 4); j++)
      for (let i = 4 * x; i < Math.min(103, 4 * x + 4); i++) values.push(image.data[(j * 103 + i) * 3 + c]!);
    return Math.round(values.reduce((a, b) => a + b) / values.length);
  };
  const expected = raster.data.map((_, i) => mean(Math.floor(i / 3) % 26, Math.floor(i / 78), i % 3));
  expect(firstDifference(raster.data, expected)).toBe(-1);
});

describe('tissue', () => {
  const size = { width: 4000, height: 3000 };
  /** Stained in a square, pale gray elsewhere. */
  const slide = {
    ...memorySource({ data: new Uint8Array(0), width: 0, height: 0, channels: 3 }),
    size,
    async readRegion({ x, y, width, height }: { x: number; y: number; width: number; height: number }) {
      const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
        const [px, py] = [x + (Math.floor(i / 3) % width), y + Math.floor(i / 3 / width)];
        const stained = px >= 1000 && px < 2000 && py >= 500 && py < 1500;
        return stained ? [180, 90, 160][i % 3]! : 235 + ((px + py) % 3);
      });
      return { data, width, height, channels: 3 };
    },
  };

  it('is detected by its colour', async () => {
    const tissue = await findTissue(slide);
    expect(tissue.share).toBeCloseTo(1 / 12, 2);
    expect(tissue.touches({ x: 1900, y: 1400, width: 600, height: 600 })).toBe(true);
    expect(tissue.touches({ x: 2100, y: 500, width: 600, height: 600 })).toBe(false);
    expect(tissue.touches({ x: 0, y: 0, width: 4000, height: 3000 })).toBe(true);
    await expect(findTissue(memorySource(pattern(30, 30)))).rejects.toThrow(/give a mask/);
  });

  it('is given by a mask of any size', async () => {
    const data = new Uint8Array(40 * 30);
    data[12 * 40 + 20] = 1;
    const tissue = await tissueFromMask(memorySource({ data, width: 40, height: 30, channels: 1 }), size);
    expect(tissue.touches({ x: 2000, y: 1200, width: 10, height: 10 })).toBe(true);
    expect(tissue.touches({ x: 3000, y: 1200, width: 500, height: 500 })).toBe(false);
  });
});
