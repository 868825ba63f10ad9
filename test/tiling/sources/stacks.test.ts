import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileSystemStore } from '@zarrita/storage';
import { describe, expect, it } from 'vitest';
import * as zarr from 'zarrita';
import type { Raster } from '../../../tiling/raster.js';
import { TiffSink } from '../../../tiling/sinks/tiff/tiff.js';
import { identityOf } from '../../../tiling/sources/identity.js';
import { openImage } from '../../../tiling/sources/open.js';
import type { OpenOptions } from '../../../tiling/sources/options.js';
import { stackFor } from '../../../tiling/stack.js';
import { testFolder } from '../../support/files.js';
import { firstDifference, pattern } from '../../support/rasters.js';
import { writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
const options: OpenOptions = { scratchDir: folder, maxPixels: 1e9 };
const ALL = { z: 'all', t: 'all' } as const;
const [WIDTH, HEIGHT, DEPTH, TIMES] = [70, 40, 3, 2];
const SIZE = { width: WIDTH, height: HEIGHT };
const tiff = { compression: 8, description: '' } as const;

/** A plane whose values differ from those of all others. */
function planeAt(z: number, t = 0): Raster {
  const plane = pattern(WIDTH, HEIGHT);
  return { ...plane, data: (plane.data as Uint8Array).map((value) => value ^ (1 << (z + 3 * t))) };
}
const every = Array.from({ length: DEPTH * TIMES }, (_, i) => planeAt(i % DEPTH, Math.floor(i / DEPTH)));
const depths = every.slice(0, DEPTH);

async function omeTiff(path: string): Promise<void> {
  const sink = await TiffSink.create(path, SIZE, {
    channels: 1,
    dtype: 'uint8',
    mpp: null,
    overviews: 'mean',
    stack: { sizeZ: DEPTH, sizeT: TIMES, zMicrons: 1.5 },
  });
  for (const [i, { data }] of every.entries())
    await sink.writeBand({ x: 0, y: 0, ...SIZE }, data as Uint8Array, i);
  await sink.finish();
}

async function omeZarr(path: string): Promise<void> {
  await mkdir(path);
  const root = zarr.root(new FileSystemStore(path));
  const axes = ['t', 'z', 'y', 'x'].map((name) => ({
    name,
    ...(name === 't' ? { type: 'time' } : { type: 'space', unit: 'micrometer' }),
  }));
  const scale = { type: 'scale', scale: [1, 1.5, 0.5, 0.5] };
  await zarr.create(root, {
    attributes: {
      multiscales: [{ version: '0.4', axes, datasets: [{ path: '0', coordinateTransformations: [scale] }] }],
    },
  });
  const shape = [TIMES, DEPTH, HEIGHT, WIDTH];
  const array = await zarr.create(root.resolve('0'), {
    shape,
    chunkShape: [1, 2, 32, 48],
    dtype: 'uint8',
  } as never);
  const data = Uint8Array.from(every.flatMap((plane) => Array.from(plane.data)));
  const stride = [DEPTH * HEIGHT * WIDTH, HEIGHT * WIDTH, WIDTH, 1];
  await zarr.set(array as never, null, { data, shape, stride } as never);
}

/** Writes planes as files with these names. */
async function planeFolder(path: string, names: readonly string[], planes = depths): Promise<string> {
  await mkdir(path);
  for (const [i, name] of names.entries())
    await writeTestTiff(join(path, name), planes[i % planes.length]!, tiff);
  return path;
}

const names = every.map(
  (_, i) => `cells_t${Math.floor(i / DEPTH) + 1}_z${String((i % DEPTH) + 8).padStart(3, '0')}.tif`,
);
const kinds: readonly [kind: string, write: (path: string) => Promise<unknown>, planes: readonly Raster[]][] =
  [
    ['an OME-TIFF', omeTiff, every],
    [
      "Fiji's hyperstack",
      (path) => {
        const description = `ImageJ=1.54f\nimages=6\nslices=${DEPTH}\nframes=${TIMES}\nunit=micron\nspacing=1.5\n`;
        return writeTestTiff(
          path,
          every,
          every.map(() => ({ ...tiff, description })),
        );
      },
      every,
    ],
    ['the pages of a TIFF that says nothing of them', (path) => writeTestTiff(path, depths, tiff), depths],
    ['an OME-Zarr', omeZarr, every],
    ['a folder of planes and times', (path) => planeFolder(path, names, every), every],
    [
      'a folder of an image sequence',
      (path) => planeFolder(path, ['day2_09.tif', 'day2_10.tif', 'day2_11.tif']),
      depths,
    ],
  ];

describe.each(kinds)('%s', (kind, write, planes) => {
  const path = join(folder, kind.replaceAll(/\W/g, '-'));

  it('is read as a stack, plane by plane, as each of them alone', async () => {
    await write(path);
    const image = await openImage(path, { ...options, ...ALL });
    const stack = stackFor(image, ALL)!;
    expect(stack.planes.length).toBe(planes.length);
    const hasMetadata = /OME|Fiji/.test(kind);
    expect(stack.zMicrons).toBe(hasMetadata ? 1.5 : undefined);
    expect(
      stackFor(image, {
        z: [
          [0, 0],
          [2, 2],
        ],
      })!.zMicrons,
    ).toBeUndefined();
    for (const [i, plane] of stack.planes.entries()) {
      const { data } = await stack.source(i).readRegion({ x: 0, y: 0, ...SIZE });
      expect(firstDifference(data, planes[i]!.data)).toBe(-1);
      const single = await openImage(path, { ...options, ...plane });
      expect(firstDifference((await single.readRegion({ x: 0, y: 0, ...SIZE })).data, data)).toBe(-1);
      expect(stack.source(i).facts).toEqual(image.facts);
      await single.close();
    }
    // many planes at once, more than stay open
    const reads = [...stack.planes.keys(), ...stack.planes.keys()].map((i) =>
      stack.source(i).readRegion({ x: 9, y: 8, width: 7, height: 6 }),
    );
    expect((await Promise.all(reads)).map(({ data }) => data.length)).toEqual(reads.map(() => 42));
    await stack.close();
    await image.close();
  });

  it('is refused where planes are not there, and where all of them have too many pixels', async () => {
    await expect(openImage(path, { ...options, z: [[1, DEPTH]] })).rejects.toThrow(
      `there is no plane z ${DEPTH}`,
    );
    const maxPixels = WIDTH * HEIGHT * planes.length;
    await (await openImage(path, { ...options, ...ALL, maxPixels })).close();
    await expect(openImage(path, { ...options, ...ALL, maxPixels: maxPixels - 1 })).rejects.toThrow(
      `in each of ${planes.length} planes`,
    );
  });
});

describe('a folder', () => {
  const open = (path: string) => openImage(path, { ...options, ...ALL });
  const refused = async (name: string, files: readonly string[], why: string) => {
    const path = await planeFolder(join(folder, name), files);
    await expect(open(path)).rejects.toThrow(`the images in this folder are no stack: ${why}`);
  };

  it('without all planes, with two of one number, or with images of different names is refused', async () => {
    await refused(
      'missing',
      ['a_t0_z0.tif', 'a_t0_z1.tif', 'a_t1_z0.tif'],
      'it has 3 images of 2 planes in depth and 2 times',
    );
    await refused('twice', ['a1.tif', 'a01.tif'], 'two of its images have the same number');
    await refused('mixed', ['a1.tif', 'b2.tif'], 'its images are not named alike but for their numbers');
    await refused('channels', ['a_z0_c0.tif', 'a_z0_c1.tif'], 'each channel has files of its own');
    await refused('empty', [], 'it has no images');
  });

  it('of stacks, or of planes of another size, is refused', async () => {
    const path = await planeFolder(join(folder, 'odd'), ['a1.tif', 'a2.tif']);
    await writeTestTiff(join(path, 'a3.tif'), pattern(WIDTH + 1, HEIGHT), tiff);
    const image = await open(path);
    const stack = stackFor(image, ALL)!;
    await expect(stack.source(2).readRegion({ x: 0, y: 0, width: 1, height: 1 })).rejects.toThrow(
      'plane z 2, t 0 is 71 × 40 px of uint8 in 1 channels, and the first one 70 × 40 px',
    );
    await stack.close();
    await image.close();
    const stacks = await planeFolder(join(folder, 'stacks'), []);
    for (const name of ['a1.tif', 'a2.tif']) await omeTiff(join(stacks, name));
    await expect(open(stacks)).rejects.toThrow('its images are stacks themselves');
  });

  it('is not left by links, and other files in it are not looked at', async () => {
    const path = await planeFolder(join(folder, 'linked'), ['a1.tif', 'a2.tif']);
    await symlink(join(path, 'a1.tif'), join(path, 'a3.tif'));
    await writeFile(join(path, 'notes.txt'), 'a note');
    const image = await open(path);
    expect(image.facts.stack).toEqual({ sizeZ: 2, sizeT: 1 });
    await image.close();
  });

  it('is another image once one of its files is', async () => {
    const path = await planeFolder(join(folder, 'changing'), ['a1.tif', 'a2.tif']);
    const { signal } = new AbortController();
    const before = await identityOf(path, signal);
    expect(await identityOf(path, signal)).toEqual(before);
    await writeTestTiff(join(path, 'a2.tif'), pattern(WIDTH, HEIGHT + 1), tiff);
    expect(await identityOf(path, signal)).not.toEqual(before);
  });

  it('is no image where no plane is chosen', async () => {
    const path = await planeFolder(join(folder, 'unchosen'), ['a1.tif', 'a2.tif']);
    await expect(openImage(path, options)).rejects.toThrow('chosen with z (--z), such as all');
  });
});

it('pages of different sizes are no stack', async () => {
  const path = join(folder, 'odd-pages.tif');
  await writeTestTiff(path, [planeAt(0), pattern(WIDTH, HEIGHT + 1)], tiff);
  await expect(openImage(path, { ...options, z: 'all' })).rejects.toThrow(
    'page 1 of this TIFF has another size or type than page 0',
  );
});

it('pages of which one is a picture of the glass are no stack, whatever their sizes', async () => {
  const path = join(folder, 'glass.tif');
  const label = { ...tiff, description: 'label 70x40' };
  await writeTestTiff(path, depths, [tiff, tiff, label]);
  for (const choice of [{ z: 'all' }, { z: [[0, 1]] }, { z: 1 }, { z: 2 }] as const) {
    await expect(openImage(path, { ...options, ...choice })).rejects.toThrow(
      'page 2 of this slide is its label',
    );
  }
  await writeTestTiff(path, depths, [{ ...tiff, description: 'Aperio Image Library v12' }, tiff, tiff]);
  const slide = await openImage(path, { ...options, z: 'all' });
  expect(slide.facts.stack).toBeUndefined();
  await slide.close();
});
