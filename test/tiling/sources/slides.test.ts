import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FileSystemStore } from '@zarrita/storage';
import { describe, expect, it } from 'vitest';
import * as zarr from 'zarrita';
import { openImage } from '../../../tiling/sources/open.js';
import { openOpenSlide, slideVendor } from '../../../tiling/sources/openslide.js';
import { testFolder } from '../../support/files.js';
import { firstDifference, pattern } from '../../support/rasters.js';
import { writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
const options = { scratchDir: folder, maxPixels: 1e9 };
const slide = '../shared/data/slides/CMU-1-Small-Region.svs';
const vendor = existsSync(slide) ? await slideVendor(slide) : null;

describe('OpenSlide', () => {
  it.skipIf(vendor === null)('agrees with this reader on a slide, up to the rounding of JPEG', async () => {
    const [own, theirs] = [await openImage(slide, options), await openOpenSlide(slide, options, 'a slide')];
    expect(theirs).toMatchObject({
      size: own.size,
      facts: { channels: 3, mpp: own.facts.mpp, dtype: 'uint8' },
    });
    expect(theirs.overviews.length).toBe(own.overviews.length);
    for (const rect of [
      { x: 0, y: 0, width: 700, height: 500 },
      { x: 1500, y: 2467, width: 720, height: 500 },
    ]) {
      const [a, b] = [await own.readRegion(rect), await theirs.readRegion(rect)];
      expect(a.data.length).toBe(b.data.length);
      expect(a.data.findIndex((value, i) => Math.abs(value - b.data[i]!) > 1)).toBe(-1);
    }
    await own.close();
    await theirs.close();
  });

  it('is required for a slide of a scanner that only it reads', async () => {
    const path = join(folder, 'scn.tif');
    const description = '<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"></scn>';
    await writeTestTiff(path, pattern(64, 64, 3), { compression: 8, description });
    await expect(openImage(path, options)).rejects.toMatchObject({
      code: 'unsupported-image',
      message: expect.stringMatching(
        /^this is a Leica SCN slide, (but OpenSlide cannot read it|.*install its library)/,
      ),
    });
  });
});

describe('an OME-Zarr', () => {
  const [width, height] = [130, 90];
  const noise = pattern(width, height, 1, 'uint16').data;
  const planes = Array.from({ length: 6 }, (_, i) =>
    noise.map((v) => (v + 999 * (i % 3) + 77 * Math.floor(i / 3)) & 65535),
  );
  const plane = (c: number, z: number) => planes[c + 3 * z]!;

  async function write(
    name: string,
    attributes: (multiscales: unknown[]) => zarr.Attributes,
  ): Promise<string> {
    const path = join(folder, name);
    await mkdir(path);
    const root = zarr.root(new FileSystemStore(path));
    const scales = [1, 2].map((factor) => ({
      path: String(factor - 1),
      coordinateTransformations: [{ type: 'scale', scale: [1, 2, 0.325 * factor, 0.65 * factor] }],
    }));
    const axes = [
      { name: 'c', type: 'channel' },
      { name: 'z', type: 'space', unit: 'micrometer' },
      { name: 'y', type: 'space', unit: 'micrometer' },
      { name: 'x', type: 'space', unit: 'micrometer' },
    ];
    await zarr.create(root, { attributes: attributes([{ version: '0.4', axes, datasets: scales }]) });
    for (const factor of [1, 2]) {
      const [w, h] = [width / factor, height / factor];
      const array = await zarr.create(root.resolve(String(factor - 1)), {
        shape: [3, 2, h, w],
        chunkShape: [1, 1, 32, 48],
        dtype: 'uint16',
      } as never);
      for (let c = 0; c < 3; c++) {
        for (let z = 0; z < 2; z++) {
          const all = plane(c, z);
          const data = Uint16Array.from(
            { length: w * h },
            (_, i) => all[Math.floor(i / w) * factor * width + (i % w) * factor]!,
          );
          await zarr.set(
            array as never,
            [c, z, null, null] as never,
            { data, shape: [h, w], stride: [w, 1] } as never,
          );
        }
      }
    }
    return path;
  }
  const omero = { channels: [{ label: 'DAPI' }, { label: 'GFP' }, { label: 'Cy5' }] };

  it.each([
    ['0.4', (multiscales: unknown[]) => ({ multiscales, omero })],
    ['0.5', (multiscales: unknown[]) => ({ ome: { multiscales, omero } })],
  ] as const)('%s: channels, planes, levels and pixel size are found', async (version, attributes) => {
    const path = await write(`image-${version}.zarr`, attributes as never);
    const source = await openImage(path, { ...options, z: 1 });
    expect(source).toMatchObject({
      size: { width, height },
      facts: { channels: 3, dtype: 'uint16', channelNames: ['DAPI', 'GFP', 'Cy5'] },
    });
    expect(source.facts.mpp).toEqual({ x: 0.65, y: 0.325 });
    const rect = { x: 40, y: 20, width: 77, height: 60 };
    const { data } = await source.readRegion(rect);
    const expected = Uint16Array.from({ length: 77 * 60 * 3 }, (_, i) => {
      const pixel = Math.floor(i / 3);
      return plane(i % 3, 1)[(20 + Math.floor(pixel / 77)) * width + 40 + (pixel % 77)]!;
    });
    expect(firstDifference(data, expected)).toBe(-1);
    expect(source.overviews.map(({ size }) => size)).toEqual([{ width: 65, height: 45 }]);
    const one = await openImage(path, { ...options, channels: [2], level: 1 });
    expect(one.facts.mpp).toEqual({ x: 1.3, y: 0.65 });
    expect(one.facts.notes).toEqual(['the image has 2 planes in depth; the first is read']);
    const half = await one.readRegion({ x: 0, y: 0, width: 65, height: 45 });
    expect(half.data[65 * 3 + 5]).toBe(plane(2, 0)[6 * width + 10]);
    await expect(openImage(path, { ...options, channels: [3] })).rejects.toThrow(
      /no channel 3: the image has 3/,
    );
    await expect(openImage(path, { ...options, z: 2 })).rejects.toThrow(/no plane z 2: the image has 2/);
  });

  it('without an image, and a folder that is not one, are refused', async () => {
    const path = await write('empty.zarr', () => ({}));
    await expect(openImage(path, options)).rejects.toThrow(/not an OME-Zarr image/);
    await mkdir(join(folder, 'plain'));
    await expect(openImage(join(folder, 'plain'), options)).rejects.toThrow(/this folder is not an image/);
  });
});
