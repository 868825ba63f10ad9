import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FileSystemStore } from '@zarrita/storage';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import * as zarr from 'zarrita';
import { openImage } from '../../../tiling/sources/open.js';
import { slideVendor } from '../../../tiling/sources/openslide.js';
import type { OpenOptions } from '../../../tiling/sources/options.js';
import { testFolder } from '../../support/files.js';
import { firstDifference, pattern } from '../../support/rasters.js';
import { type TestTiff, writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
const options = { scratchDir: folder, maxPixels: 1e9 };
const [width, height] = [90, 60];
const picture = () => sharp(pattern(width, height, 3).data, { raw: { width, height, channels: 3 } });
const file = async (name: string, bytes: Buffer): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
};
let files = 0;
/** A text file that names the files of a slide. */
const slide = [
  '[Virtual Microscope Specimen]',
  ...['NoLayers=1', 'NoJpegColumns=1', 'NoJpegRows=1', 'ImageFile=../secret.jpg', 'MapFile=../map.jpg'],
].join('\n');
/** Its vendor, as detected by OpenSlide; null if that is not installed. */
const vendor = await slideVendor(await file('slide.vms', Buffer.from(slide)));
async function tiff(changes: Partial<TestTiff> = {}, data?: Float64Array): Promise<string> {
  const path = join(folder, `${files++}.tif`);
  const image = data ? { data, width: 40, height: 30, channels: 1 } : pattern(40, 30);
  await writeTestTiff(path, image, { compression: 8, tile: { width: 16, height: 16 }, ...changes });
  return path;
}
/** Passes option names that the types do not declare. */
async function open(path: string, more: Partial<OpenOptions> & object = {}) {
  const source = await openImage(path, { ...options, ...more });
  const { size, facts } = source;
  const { mpp, notes, dtype } = facts;
  const { data } = await source.readRegion({ x: 0, y: 0, ...size }).finally(() => source.close());
  return { mpp, notes, dtype, data };
}

describe('an image that is unpacked into memory as a whole', () => {
  const maxUnpackedBytes = 10_000; // less than 90 × 60 × 3
  it.each([
    ['an interlaced PNG', 'adam7.png', () => picture().png({ progressive: true })],
    ['a progressive JPEG', 'progressive.jpg', () => picture().jpeg({ progressive: true })],
    ['a WebP', 'a.webp', () => picture().webp()],
    ['a GIF', 'a.gif', () => picture().gif()],
    ['an AVIF', 'a.avif', () => picture().avif({ effort: 0 })],
  ] as const)('%s: its header says so, and a limit of its own refuses it', async (what, name, encode) => {
    const path = await file(name, await encode().toBuffer());
    for (const headerOnly of [true, false]) {
      await expect(
        openImage(path, { ...options, headerOnly, maxUnpackedBytes } as OpenOptions),
      ).rejects.toMatchObject({
        code: 'image-too-large',
        message: expect.stringMatching(new RegExp(`^${what} of 90 × 60 px .*tiled TIFF`)),
      });
    }
    expect((await open(path)).data.length).toBe(width * height * 3);
  });

  it('a TIFF of YCbCr in one strip, which libvips reads, has the same limit', async () => {
    const path = join(folder, 'ycbcr.tif');
    await writeTestTiff(path, pattern(width, height, 3), { compression: 8, photometric: 6 });
    await expect(openImage(path, { ...options, maxUnpackedBytes })).rejects.toMatchObject({
      code: 'image-too-large',
      message: expect.stringMatching(/^a TIFF in one piece of 90 × 60 px/),
    });
    expect((await open(path)).data.length).toBe(width * height * 3);
  });

  it('PNG and JPEG that are streamed have no such limit', async () => {
    for (const [name, bytes] of [
      ['rows.png', await picture().png().toBuffer()],
      ['baseline.jpg', await picture().jpeg().toBuffer()],
    ] as const) {
      const read = await open(await file(name, bytes), { maxUnpackedBytes } as object);
      expect(read.data.length).toBe(width * height * 3);
    }
  });
});

it('an AVIF whose boxes are not nested is damaged', async () => {
  const sound = await picture().avif({ effort: 0 }).toBuffer();
  for (const [name, length] of [
    ['iprp', 0],
    ['iprp', 7],
    ['ispe', 0xffff_fff0],
    ['meta', 0x7fff_ffff],
    ['meta', 1],
  ] as const) {
    const bytes = Buffer.from(sound);
    bytes.writeUInt32BE(length, bytes.indexOf(name) - 4);
    await expect(open(await file(`box-${files++}.avif`, bytes)), `${name} ${length}`).rejects.toMatchObject({
      code: 'corrupt-image',
      message: expect.stringMatching(/a box at \d+ claims \d+ bytes/),
    });
  }
});

describe('a page, plane or level that an image does not have', () => {
  it.each([
    ['page 4', { page: 4 }, /no page 4: the image has 1/],
    ['z 1', { z: 1 }, /no plane z 1: the image has 1/],
    ['t 2', { t: 2 }, /no time t 2: the image has 1/],
    ['level 1', { level: 1 }, /no level 1: the image has 1/],
  ] as const)('%s of a PNG and a GIF is refused', async (_, choice, message) => {
    for (const [name, bytes] of [
      ['choice.png', await picture().png().toBuffer()],
      ['choice.gif', await picture().gif().toBuffer()],
    ] as const) {
      const path = await file(name, bytes);
      await expect(open(path, choice)).rejects.toMatchObject({
        code: 'unsupported-image',
        message: expect.stringMatching(message),
      });
    }
  });

  it('a page of an OME-Zarr is refused', async () => {
    const path = join(folder, 'pages.zarr');
    await mkdir(path);
    const root = zarr.root(new FileSystemStore(path));
    const multiscales = [{ axes: ['y', 'x'], datasets: [{ path: '0' }] }];
    await zarr.create(root, { attributes: { multiscales } as never });
    await zarr.create(root.resolve('0'), { shape: [20, 20], chunkShape: [20, 20], dtype: 'int8' } as never);
    await expect(open(path, { page: 1, range: [0, 1] })).rejects.toThrow(/no page 1: the image has 1/);
  });
});

describe('values', () => {
  it.each([
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
  ])('%s in a float image is an error that says where', async (name, value) => {
    const data = Float64Array.from({ length: 40 * 30 }, (_, i) => i / 1200);
    data[17 * 40 + 23] = value;
    for (const bits of [32, 64]) {
      const path = await tiff({ format: 3, bits }, data);
      await expect(open(path, { range: [0, 1] })).rejects.toMatchObject({
        code: 'corrupt-image',
        message: expect.stringMatching(new RegExp(`${name} at column 23, row 17`)),
      });
      expect((await open(path, { values: 'stored' })).dtype).toBe('float32');
    }
  });

  it('of signed 8 bits use the range of their type', async () => {
    const data = Float64Array.from({ length: 40 * 30 }, (_, i) => (i % 256) - 128);
    const read = await open(await tiff({ format: 2, bits: 8 }, data));
    expect(read.dtype).toBe('float32');
    for (const [i, value] of read.data.entries()) expect(value).toBeCloseTo((i % 256) / 255, 6);
    const chosen = await open(await tiff({ format: 2, bits: 8 }, data), { range: [0, 100] });
    expect(chosen.data[128 + 50]).toBeCloseTo(0.5, 6);
  });
});

describe('the resolution of a screen or a printer', () => {
  const ignored = (dpi: number) => [expect.stringMatching(new RegExp(`${dpi} dpi.*is ignored.*mpp`))];

  it.each([96, 300, 600])('%i dpi is ignored as a pixel size, in PNG, JPEG and TIFF', async (dpi) => {
    const of = (encoded: ReturnType<typeof picture>) => encoded.withMetadata({ density: dpi }).toBuffer();
    for (const [name, bytes] of [
      [`${dpi}.png`, await of(picture().png())],
      [`${dpi}.jpg`, await of(picture().jpeg())],
      [`${dpi}.tif`, await of(picture().tiff({ tile: true }))],
    ] as const) {
      expect(await open(await file(name, bytes))).toMatchObject({ mpp: null, notes: ignored(dpi) });
    }
    const given = await open(join(folder, `${dpi}.png`), { mpp: { x: 0.5, y: 0.5 } });
    expect(given).toMatchObject({ mpp: { x: 0.5, y: 0.5 }, notes: [] });
  });

  it('is distinguished from that of a microscope', async () => {
    const resolution = { x: [20_000, 1], y: [20_000, 1], unit: 3 } as const;
    const read = await open(await tiff({ resolution: resolution as never }));
    expect(read).toMatchObject({ mpp: { x: 0.5, y: 0.5 }, notes: [] });
  });
});

it('an unsupported pixel type is named in terms of the user', async () => {
  const path = await tiff();
  const bytes = await readFile(path);
  bytes.writeUInt16LE(12, bytes.indexOf(Buffer.from([258 & 255, 258 >> 8, 3, 0, 1, 0, 0, 0])) + 8);
  await writeFile(path, bytes);
  await expect(open(path)).rejects.toThrow(
    'TIFFs with unsigned integers of 12 bits are not supported: store 8 or 16 bits per value',
  );
});

it('a process without free file descriptors does not report an image as unreadable', async () => {
  const path = await file('spare.png', await picture().png().toBuffer());
  const script = `
    import { openSync } from 'node:fs';
    import { openImage } from '${new URL('../../../tiling/sources/open.js', import.meta.url)}';
    try { for (;;) openSync('/dev/null'); } catch {}
    openImage('${path}', { scratchDir: '', maxPixels: 1e9 }).catch(({ code }) => console.log(code));
  `;
  const command = ['-c', 'ulimit -n 1000 && exec "$0" --input-type=module -e "$1"', process.execPath, script];
  const { stdout } = await promisify(execFile)('sh', command);
  expect(stdout.trim()).toBe('EMFILE');
});

it('an unpacked image leaves no files, however the process ends', async () => {
  const path = await file('unpacked.png', await picture().png().toBuffer());
  const source = await openImage(path, options);
  expect((await readdir(folder)).filter((name) => name.endsWith('.v'))).toEqual([]);
  const { data } = await source.readRegion({ x: 0, y: 0, ...source.size });
  expect(firstDifference(data, pattern(width, height, 3).data)).toBe(-1);
  await source.close();
});

describe('an upload is one file', () => {
  it.skipIf(vendor === null)(
    'so a slide of several files is refused by name, and no adjacent file is opened',
    async () => {
      await mkdir(join(folder, 'job'));
      const path = join(folder, 'job', 'upload');
      await writeFile(path, slide);
      const failed = await openImage(path, { ...options, singleFile: true } as OpenOptions).catch(
        (e: Error) => e,
      );
      expect(failed).toMatchObject({
        code: 'unsupported-image',
        message: expect.stringMatching(/hamamatsu.* several files.*by path/),
      });
    },
  );

  it('and messages never disclose its path', async () => {
    const path = await file(
      'broken-header.gif',
      Buffer.concat([Buffer.from('GIF89a'), Buffer.alloc(40, 255)]),
    );
    const failed = (await openImage(path, options).catch((error: Error) => error)) as Error;
    expect(failed).toMatchObject({ code: 'corrupt-image' });
    expect(failed.message).not.toContain(folder);
    await writeFile(join(folder, 'upload'), slide);
    const other = (await openImage(join(folder, 'upload'), options).catch((error: Error) => error)) as Error;
    expect(other.message).not.toContain(folder);
  });
});
