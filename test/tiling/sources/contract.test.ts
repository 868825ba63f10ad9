import { join } from 'node:path';
import sharp from 'sharp';
import { describe } from 'vitest';
import { resampleLinear, resampleNearest } from '../../../tiling/resample.js';
import { memorySource } from '../../../tiling/sources/memory.js';
import { openImage } from '../../../tiling/sources/open.js';
import { openOpenSlide, slideVendor } from '../../../tiling/sources/openslide.js';
import type { ImageChoice, OpenOptions } from '../../../tiling/sources/options.js';
import { testFolder } from '../../support/files.js';
import { pattern } from '../../support/rasters.js';
import { writeTestTiff } from '../../support/tiff.js';
import { serveFolder } from '../../support/web.js';
import { writeTestZarr } from '../../support/zarr.js';
import { imageSourceContract } from './contract.js';
import { imageRefusals } from './refusals.js';

const folder = await testFolder();
const address = await serveFolder(folder);
const options: OpenOptions = { scratchDir: folder, maxPixels: 1e9, allowedHosts: [new URL(address).host] };
const file =
  (name: string, choice: ImageChoice & Partial<OpenOptions> = {}) =>
  () =>
    openImage(join(folder, name), { ...options, ...choice });
const url = (name: string) => () => openImage(`${address}/${name}`, options);

const gray = pattern(150, 110);
const deep = pattern(150, 110, 1, 'uint16');
const rgb = pattern(150, 110, 3);
const halves = [pattern(75, 55), pattern(38, 28)];
const rgbHalves = [pattern(75, 55, 3), pattern(38, 28, 3)];
const five = pattern(150, 110, 5, 'uint16');
const floats = { ...gray, data: Float32Array.from(gray.data, (v) => v / 100 - 1) };

const tile = { width: 32, height: 48 };
await writeTestTiff(join(folder, 'tiled.tif'), rgb, { tile, compression: 8, children: rgbHalves });
await writeTestTiff(join(folder, 'gray.tif'), gray, { tile, compression: 32773, children: halves });
await writeTestTiff(join(folder, 'deep.tif'), deep, {
  tile,
  compression: 8,
  predictor: 2,
  bigEndian: true,
  bigTiff: true,
});
await writeTestTiff(join(folder, 'planar.tif'), five, { tile, compression: 8, planar: true, photometric: 1 });
await writeTestTiff(join(folder, 'floats.tif'), floats, { tile, compression: 1, format: 3 });
const picture = sharp(rgb.data, { raw: { width: 150, height: 110, channels: 3 } });
await picture.tiff({ compression: 'lzw', predictor: 'horizontal' }).toFile(join(folder, 'striped.tif'));
await picture.png().toFile(join(folder, 'rgb.png'));
await picture.jpeg().toFile(join(folder, 'rgb.jpg'));
await sharp(deep.data, { raw: { width: 150, height: 110, channels: 1 } })
  .toColourspace('grey16')
  .png()
  .toFile(join(folder, 'deep.png'));
await writeTestZarr(join(folder, 'image.zarr'), [deep, pattern(75, 55, 1, 'uint16')]);
await writeTestZarr(join(folder, 'channels.zarr'), [five]);
const hasOpenSlide = (await slideVendor(join(folder, 'tiled.tif'))) !== null;

imageSourceContract('an image in memory', async () => memorySource(rgb), rgb);

describe('a TIFF', () => {
  imageSourceContract('in tiles, with a pyramid', file('tiled.tif'), rgb);
  imageSourceContract('in strips', file('striped.tif'), rgb);
  imageSourceContract('of 16 bits in big-endian order', file('deep.tif'), deep);
  imageSourceContract('of planes', file('planar.tif'), five);
  imageSourceContract('of floats as they are stored', file('floats.tif', { values: 'stored' }), floats);
  imageSourceContract('on a web server', url('tiled.tif'), rgb);
});

describe('an OME-Zarr', () => {
  imageSourceContract('in a folder, with a pyramid', file('image.zarr'), deep);
  imageSourceContract('of channels', file('channels.zarr'), five);
  imageSourceContract('on a web server', url('image.zarr'), deep);
});

describe('a picture that libvips unpacks', () => {
  imageSourceContract('PNG', file('rgb.png'), rgb);
  imageSourceContract('PNG of 16 bits', file('deep.png'), deep);
  imageSourceContract('JPEG', file('rgb.jpg'));
});

describe.runIf(hasOpenSlide)('a slide that OpenSlide reads', () => {
  imageSourceContract('with a pyramid', () =>
    openOpenSlide(join(folder, 'tiled.tif'), options, 'a slide', true),
  );
});

describe('a view', () => {
  imageSourceContract('of a level', file('gray.tif', { level: 1 }), halves[0]);
  imageSourceContract('in a range', file('tiled.tif', { range: [20, 200] }));
  imageSourceContract('of floats in a range', file('floats.tif', { range: [-1, 1] }));
  imageSourceContract(
    'in the range of a model',
    file('gray.tif', { trainingRange: { type: 'uint8', range: [9, 99] } }),
  );
  imageSourceContract('with a pixel size of its own', file('gray.tif', { mpp: { x: 0.5, y: 0.25 } }), gray);
  imageSourceContract('of channels', file('rgb.png', { channels: [2, 0] }));
  imageSourceContract('that is smaller', async () => {
    const source = memorySource(rgb);
    return resampleLinear(source, source, { width: 61, height: 47 });
  });
  imageSourceContract('that is larger', async () => {
    const source = memorySource(gray);
    return resampleLinear(source, source, { width: 190, height: 170 });
  });
  imageSourceContract('that repeats the nearest pixel', async () =>
    resampleNearest(memorySource(gray), { width: 400, height: 300 }),
  );
});

const FILES = [
  'tiled.tif',
  'gray.tif',
  'deep.tif',
  'planar.tif',
  'striped.tif',
  'rgb.png',
  'deep.png',
  'rgb.jpg',
];
describe.each(FILES)('refusals of', (name) => imageRefusals(name, join(folder, name), options));
