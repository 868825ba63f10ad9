import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { jpeg2000Encoder } from '../../test/support/jpeg2000.js';
import { pattern } from '../../test/support/rasters.js';
import { type TestImage, type TestTiff, writeTestTiff } from '../../test/support/tiff.js';

export type Format = 'tiff' | 'png' | 'jpeg' | 'webp' | 'gif' | 'avif';

/** A small valid image, from which mutations are made. */
export interface Seed {
  readonly name: string;
  readonly format: Format;
  readonly bytes: Buffer;
  /** The model to use: `plain-colour` has three input channels, for three channels of a stack. */
  readonly model: 'plain' | 'plain-colour';
  /** Further query parameters, each with a leading `&`. */
  readonly query: string;
  /** The pages of a TIFF that are segmented, in order of channels. */
  readonly planes: readonly number[];
  /** By how much two decoders may differ, in 1/255: 0 unless the image is lossy or floating-point. */
  readonly tolerance: number;
}

const SIZE = { width: 90, height: 70 };
const TILE = { width: 64, height: 48 };
const MPP: NonNullable<TestTiff['resolution']> = { x: [40_000, 1], y: [40_000, 1], unit: 3 };
const OME =
  '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">' +
  '<Image ID="Image:0" Name="seed"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="90" SizeY="70" ' +
  'SizeC="3" SizeZ="2" SizeT="1" PhysicalSizeX="0.25" PhysicalSizeY="0.25"><Channel ID="Channel:0:0" Name="DAPI" ' +
  'SamplesPerPixel="1"/><Channel ID="Channel:0:1" Name="GFP"/><Channel ID="Channel:0:2" Name="Cy5"/>' +
  '<TiffData IFD="0" PlaneCount="6"/></Pixels></Image></OME>';
const FIJI =
  'ImageJ=1.54f\nimages=6\nchannels=3\nslices=2\nhyperstack=true\nunit=micron\nspacing=1.0\nloop=false\n';
const APERIO =
  'Aperio Image Library v11.2.1\n90x70 [0,0 90x70] (64x48) JPEG/RGB Q=70|AppMag = 20|MPP = 0.4990|Filename = CMU-1';

/** Seeds for the file formats, layouts and compressions that the server reads without OpenSlide. */
export async function writeSeeds(folder: string): Promise<Seed[]> {
  return [...(await tiffSeeds(folder)), ...(await pictureSeeds())];
}

async function tiffSeeds(folder: string): Promise<Seed[]> {
  const seeds: Seed[] = [];
  const add = async (
    name: string,
    image: TestImage | readonly TestImage[],
    options: TestTiff | readonly TestTiff[],
    more: Partial<Pick<Seed, 'model' | 'query' | 'planes' | 'tolerance'>> = {},
  ): Promise<void> => {
    const path = join(folder, 'seed.tif');
    await writeTestTiff(path, image, options);
    const plain = { model: 'plain', query: '', planes: [0], tolerance: 0 } as const;
    seeds.push({ name, format: 'tiff', bytes: await readFile(path), ...plain, ...more });
  };
  const { width, height } = SIZE;
  const gray = pattern(width, height);
  const rgb = pattern(width, height, 3);
  const gray16 = pattern(width, height, 1, 'uint16');
  const narrow = (bits: number): TestImage => ({
    ...gray,
    data: gray.data.map((value) => value >> (8 - bits)),
  });
  const floats = { ...gray, data: Float32Array.from(gray.data, (value) => value / 255) };
  const palette = Array.from({ length: 768 }, (_, i) => ((i * 7919) % 256) * 257);
  const half = pattern(width / 2, height / 2);

  for (const bigEndian of [false, true]) {
    for (const bigTiff of [false, true]) {
      const kind = `${bigTiff ? 'BigTIFF' : 'TIFF'} ${bigEndian ? 'MM' : 'II'}`;
      const order = { bigEndian, bigTiff };
      await add(`${kind}, gray, tiles`, gray, { ...order, compression: 1, tile: TILE, resolution: MPP });
      await add(`${kind}, RGB, deflate tiles`, rgb, { ...order, compression: 8, predictor: 2, tile: TILE });
      await add(`${kind}, 16 bits, one strip`, gray16, { ...order, compression: 1 });
      await add(`${kind}, 16 bits, deflate`, gray16, { ...order, compression: 8, predictor: 2, tile: TILE });
      await add(`${kind}, PackBits`, gray, { ...order, compression: 32773, tile: TILE });
      await add(
        `${kind}, JPEG tiles`,
        rgb,
        { ...order, compression: 7, photometric: 6, tile: TILE },
        { tolerance: 3 },
      );
      const levels = { children: [half], description: 'a pyramid' };
      await add(`${kind}, SubIFD pyramid`, gray, { ...order, compression: 8, tile: TILE, ...levels });
    }
  }
  const plain = { compression: 1 };
  for (const bits of [1, 2, 4]) await add(`${bits} bits`, narrow(bits), { ...plain, bits });
  await add('WhiteIsZero', gray, { ...plain, photometric: 0 });
  await add('palette', gray, { ...plain, photometric: 3, colourMap: palette, tile: TILE });
  await add('planar RGB', rgb, { compression: 8, planar: true, tile: TILE });
  const alpha = { ...plain, extraSamples: 2 };
  await add('RGBA', pattern(width, height, 4), { ...alpha, tile: TILE });
  const range = { query: '&range=0,1', tolerance: 1 };
  await add('32-bit floats', floats, { ...plain, format: 3, bits: 32, tile: TILE }, range);
  await add('64-bit floats, deflate', floats, { compression: 8, format: 3, bits: 64 }, range);
  const signed = { ...gray, data: Int16Array.from(gray.data, (value) => value * 100 - 5000) };
  const wide = { query: '&range=-5000,20500', tolerance: 1 };
  await add('16-bit signed', signed, { ...plain, format: 2, bits: 16 }, wide);
  const jpeg2000 = { encode: await jpeg2000Encoder(), tile: { width: 64, height: 64 } };
  await add('JPEG 2000 tiles', rgb, { ...jpeg2000, compression: 33005 });
  await add('JPEG 2000 tiles, gray', gray, { ...jpeg2000, compression: 34712 });

  const stack = Array.from({ length: 6 }, (_, i) => ({ ...gray, data: gray.data.map((v) => v ^ (i * 40)) }));
  const three = { model: 'plain-colour', planes: [0, 1, 2] } as const;
  const tiles = { compression: 8, tile: TILE };
  await add('OME-TIFF', stack, [{ ...tiles, description: OME }, ...Array<TestTiff>(5).fill(tiles)], three);
  await add(
    'Fiji hyperstack',
    stack,
    [{ ...plain, description: FIJI }, ...Array<TestTiff>(5).fill(plain)],
    three,
  );
  await add('page 2 of 3', stack.slice(0, 3), Array<TestTiff>(3).fill(tiles), {
    query: '&page=2',
    planes: [2],
  });
  const svs = { compression: 7, photometric: 6, tile: TILE };
  await add(
    'SVS-like',
    [rgb, pattern(30, 20, 3), pattern(45, 35, 3), pattern(40, 20, 3)],
    [
      { ...svs, description: APERIO },
      { ...svs, tile: undefined as never, description: APERIO },
      { ...svs, description: APERIO },
      { compression: 1, description: `${APERIO}\nlabel 40x20`, newSubfileType: 1 },
    ],
    { tolerance: 3 },
  );

  const wideGray = sharp(Buffer.from(gray.data.buffer), {
    raw: { width, height, channels: 1 },
  }).toColourspace('b-w');
  const wideRgb = sharp(Buffer.from(rgb.data.buffer), { raw: { width, height, channels: 3 } });
  const tiled = { tile: true, tileWidth: 64, tileHeight: 64 } as const;
  const written: [string, Promise<Buffer>, number][] = [
    ['LZW strips', wideGray.clone().tiff({ compression: 'lzw', predictor: 'none' }).toBuffer(), 0],
    [
      'LZW tiles, predictor',
      wideRgb
        .clone()
        .tiff({ compression: 'lzw', ...tiled })
        .toBuffer(),
      0,
    ],
    [
      'LZW pyramid, BigTIFF',
      wideRgb
        .clone()
        .tiff({ compression: 'lzw', ...tiled, pyramid: true, bigtiff: true })
        .toBuffer(),
      0,
    ],
    [
      'JPEG with tables',
      wideRgb
        .clone()
        .tiff({ compression: 'jpeg', ...tiled, quality: 90 })
        .toBuffer(),
      3,
    ],
    ['CCITT', wideGray.clone().threshold().tiff({ compression: 'ccittfax4', bitdepth: 1 }).toBuffer(), 0],
  ];
  for (const [name, bytes, tolerance] of written) {
    seeds.push({
      name,
      format: 'tiff',
      bytes: await bytes,
      model: 'plain',
      query: '',
      planes: [0],
      tolerance,
    });
  }
  return seeds;
}

async function pictureSeeds(): Promise<Seed[]> {
  const { width, height } = SIZE;
  const raw = (channels: 1 | 3 | 4) =>
    sharp(Buffer.from(pattern(width, height, channels).data.buffer), { raw: { width, height, channels } });
  const gray = () => raw(1).toColourspace('b-w');
  const gray16 = () => {
    const { data } = pattern(width, height, 1, 'uint16');
    const picture = sharp(data as Uint16Array<ArrayBuffer>, { raw: { width, height, channels: 1 } });
    return picture.toColourspace('grey16');
  };
  const frames = Buffer.concat([1, 2, 3].map(() => Buffer.from(pattern(width, height, 3).data.buffer)));
  const animated = () =>
    sharp(frames, { raw: { width, height: 3 * height, channels: 3, pageHeight: height } });
  const written: [string, Format, Promise<Buffer>, number][] = [
    ['PNG gray', 'png', gray().png().toBuffer(), 0],
    ['PNG RGB', 'png', raw(3).png({ compressionLevel: 1 }).toBuffer(), 0],
    ['PNG RGBA', 'png', raw(4).png().toBuffer(), 0],
    ['PNG interlaced', 'png', raw(3).png({ progressive: true }).toBuffer(), 0],
    ['PNG 16 bits', 'png', gray16().png().toBuffer(), 0],
    ['PNG palette', 'png', raw(3).png({ palette: true, colours: 32 }).toBuffer(), 0],
    ['PNG metadata', 'png', raw(3).withMetadata({ density: 300 }).png().toBuffer(), 0],
    ['JPEG gray', 'jpeg', gray().jpeg({ quality: 90 }).toBuffer(), 3],
    ['JPEG 4:2:0', 'jpeg', raw(3).jpeg({ quality: 85 }).toBuffer(), 3],
    ['JPEG 4:4:4', 'jpeg', raw(3).jpeg({ quality: 90, chromaSubsampling: '4:4:4' }).toBuffer(), 3],
    ['JPEG progressive', 'jpeg', raw(3).jpeg({ quality: 85, progressive: true }).toBuffer(), 3],
    ['JPEG Exif', 'jpeg', raw(3).withMetadata({ orientation: 6 }).jpeg().toBuffer(), 3],
    ['WebP lossy', 'webp', raw(3).webp({ quality: 85 }).toBuffer(), 2],
    ['WebP lossless', 'webp', raw(3).webp({ lossless: true }).toBuffer(), 0],
    [
      'WebP alpha',
      'webp',
      raw(4)
        .webp({ lossless: true, exact: true } as object)
        .toBuffer(),
      0,
    ],
    ['GIF', 'gif', raw(3).gif({ colours: 64 }).toBuffer(), 0],
    ['GIF interlaced', 'gif', raw(3).gif({ progressive: true, colours: 32 }).toBuffer(), 0],
    ['GIF animated', 'gif', animated().gif({ colours: 32 }).toBuffer(), 0],
    ['AVIF', 'avif', raw(3).avif({ quality: 70, effort: 0, chromaSubsampling: '4:4:4' }).toBuffer(), 4],
    ['AVIF 4:2:0', 'avif', raw(3).avif({ quality: 60, effort: 0 }).toBuffer(), 4],
  ];
  return Promise.all(
    written.map(async ([name, format, bytes, tolerance]) => {
      return { name, format, bytes: await bytes, model: 'plain', query: '', planes: [0], tolerance };
    }),
  );
}
