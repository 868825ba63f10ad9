import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Size } from '../../../tiling/geometry.js';
import { COLUMN_BLOCK_PX, planTiles } from '../../../tiling/plan.js';
import type { MaskArray, MaskSink } from '../../../tiling/sink.js';
import { halve } from '../../../tiling/sinks/halve.js';
import { crc32c } from '../../../tiling/sinks/zarr/crc32c.js';
import { replaceFolder } from '../../../tiling/sinks/zarr/folders.js';
import { ZarrSink } from '../../../tiling/sinks/zarr/zarr.js';
import type { PixelReader } from '../../../tiling/source.js';
import { openImage } from '../../../tiling/sources/open.js';
import { ArchiveCache } from '../../../tiling/zip/archive-cache.js';
import { readArchiveFiles } from '../../../tiling/zip/archive-files.js';
import { testFolder } from '../../support/files.js';
import { even, firstDifference } from '../../support/rasters.js';

const folder = await testFolder();
const mpp = { x: 0.25, y: 0.5 };
const classes = [
  { name: 'background', colour: null },
  { name: 'cell "1"', colour: '#00ff80' },
  { name: 'edge', colour: '#ff0000' },
];
const LABELS = { name: 'classes', isLabels: true, channels: 1, dtype: 'uint8', mpp, classes } as const;
const PROBABILITIES = {
  name: 'probabilities',
  isLabels: false,
  channels: 3,
  dtype: 'float32',
  mpp,
  classes,
} as const;
const options = { scratchDir: folder, maxPixels: 1e9, values: 'stored' } as const;

/** Labels with wide empty parts, and with small regions. */
function labelsOf({ width, height }: Size, seed = 0): Uint8Array {
  return Uint8Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return Math.floor(x / 700 + seed) % 2 ? 0 : (Math.floor(x / 37) + Math.floor(y / 13)) % 3;
  });
}

async function write(
  sink: MaskSink & { writeBand(rect: object, data: MaskArray, plane?: number): Promise<void> },
  size: Size,
  data: MaskArray,
  plane = 0,
): Promise<void> {
  const channels = data.length / size.width / size.height;
  const rule = { halo: even(3), multiple: 4, smallest: 10 };
  for (const { write } of planTiles(size, { tile: { width: 306, height: 306 }, rule }).bands()) {
    const band = new (data.constructor as typeof Float32Array)(write.width * write.height * channels);
    for (let row = 0; row < write.height; row++) {
      const from = ((write.y + row) * size.width + write.x) * channels;
      band.set(data.subarray(from, from + write.width * channels), row * write.width * channels);
    }
    await sink.writeBand(write, band, plane);
  }
}

const wholeOf = async (reader: PixelReader) => (await reader.readRegion({ x: 0, y: 0, ...reader.size })).data;
const json = async (...names: string[]) => JSON.parse(await readFile(join(folder, ...names), 'utf8'));

describe.each([
  { width: 1, height: 1 },
  { width: 600, height: 1100 },
  { width: COLUMN_BLOCK_PX + 900, height: 700 },
])('labels of $width×$height px', (size) => {
  const labels = labelsOf(size);
  const path = join(folder, `labels-${size.width}.zarr`);

  it('are read as an image, and as labels of it, with overviews by the most frequent of four', async () => {
    const sink = await ZarrSink.create(path, size, LABELS, 'folder');
    await write(sink, size, labels);
    await sink.finish();
    for (const place of [path, join(path, 'labels', 'classes')]) {
      const image = await openImage(place, options);
      expect(image.size).toEqual(size);
      expect(image.facts).toMatchObject({ channels: 1, dtype: 'uint8', mpp });
      let [level, { width, height }] = [labels, size];
      for (const reader of [image, ...image.overviews]) {
        expect(reader.size).toEqual({ width, height });
        expect(firstDifference(await wholeOf(reader), level)).toBe(-1);
        level = halve(level, width, height, 1, 'majority');
        [width, height] = [Math.ceil(width / 2), Math.ceil(height / 2)];
      }
      expect(
        Math.max(image.overviews.at(-1)?.size.width ?? 0, image.overviews.at(-1)?.size.height ?? 0),
      ).toBeLessThanOrEqual(512);
      await image.close();
    }
  });

  it('name their classes and colours', async () => {
    expect(await json(`labels-${size.width}.zarr`, 'labels', 'zarr.json')).toMatchObject({
      attributes: { ome: { version: '0.5', labels: ['classes'] } },
    });
    const { attributes } = await json(`labels-${size.width}.zarr`, 'labels', 'classes', 'zarr.json');
    expect(attributes.ome['image-label']).toEqual({
      colors: [
        { 'label-value': 0, rgba: [0, 0, 0, 0] },
        { 'label-value': 1, rgba: [0, 255, 128, 255] },
        { 'label-value': 2, rgba: [255, 0, 0, 255] },
      ],
      properties: classes.map(({ name }, i) => ({ 'label-value': i, name })),
      source: { image: '../../' },
    });
  });
});

it('probabilities are an image with a channel for each class', async () => {
  const size = { width: 700, height: 300 };
  const values = Float32Array.from({ length: 700 * 300 * 3 }, (_, i) => (i % 101) / 101);
  const sink = await ZarrSink.create(join(folder, 'p.zarr'), size, PROBABILITIES, 'folder');
  await write(sink, size, values);
  await sink.finish();
  const image = await openImage(join(folder, 'p.zarr'), options);
  expect(image.facts.channelNames).toEqual(['background', 'cell "1"', 'edge']);
  expect(firstDifference(await wholeOf(image), values)).toBe(-1);
  expect(firstDifference(await wholeOf(image.overviews[0]!), halve(values, 700, 300, 3, 'mean'))).toBe(-1);
  await image.close();
});

it('the planes of a stack are planes of its axes t and z', async () => {
  const size = { width: 600, height: 40 };
  const path = join(folder, 'stack.zarr');
  const stack = { sizeZ: 3, sizeT: 2, zMicrons: 1.5 };
  const sink = await ZarrSink.create(path, size, { ...LABELS, stack }, 'folder');
  const planes = Array.from({ length: 6 }, (_, i) => labelsOf(size, i / 3));
  for (const [plane, labels] of planes.entries()) await write(sink, size, labels, plane);
  await sink.finish();
  for (const [plane, labels] of planes.entries()) {
    const image = await openImage(path, { ...options, t: Math.floor(plane / 3), z: plane % 3 });
    expect(image.facts).toMatchObject({ mpp, stack });
    expect(firstDifference(await wholeOf(image), labels)).toBe(-1);
    await image.close();
  }
});

it('a large mask is a few files, and what is background alone is none', async () => {
  const size = { width: 3 * 4096, height: 4096 };
  const path = join(folder, 'sparse.zarr');
  const sink = await ZarrSink.create(path, size, LABELS, 'folder');
  const labels = new Uint8Array(size.width * size.height);
  labels[5000] = 2;
  await write(sink, size, labels);
  await sink.finish();
  const array = join(path, 'labels', 'classes', '0');
  const names = await readdir(array, { recursive: true, withFileTypes: true });
  expect(names.filter((entry) => entry.isFile()).map(({ name }) => name)).toEqual(
    expect.arrayContaining(['1', 'zarr.json']),
  );
  expect(names.filter((entry) => entry.isFile())).toHaveLength(2);
  const image = await openImage(path, options);
  const { data } = await image.readRegion({ x: 4990, y: 0, width: 20, height: 2 });
  expect([...data].map((label, i) => (label ? i : -1)).filter((i) => i >= 0)).toEqual([10]);
  await image.close();
});

describe('an archive', () => {
  const size = { width: 600, height: 300 };
  const path = join(folder, 'mask.ozx');

  it('has the very files of the folder, its documents first, uncompressed', async () => {
    const plain = join(folder, 'same.zarr');
    for (const sink of [
      await ZarrSink.create(path, size, LABELS),
      await ZarrSink.create(plain, size, LABELS, 'folder'),
    ]) {
      await write(sink, size, labelsOf(size));
      await sink.finish();
    }
    const names = (await readdir(plain, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(plain.length + 1));
    expect(names.length).toBeGreaterThan(5);
    const archive = await open(path);
    const files = await readArchiveFiles(archive);
    const starts = new Map<string, number>();
    for (const name of names) {
      const { start, length } = files.find(name)!;
      const bytes = Buffer.alloc(length);
      await archive.read(bytes, 0, length, start);
      expect(bytes.equals(await readFile(join(plain, name)))).toBe(true);
      starts.set(name, start);
    }
    const inOrder = names.sort((a, b) => starts.get(a)! - starts.get(b)!);
    expect(inOrder.slice(0, 3)).toEqual(['zarr.json', 'labels/zarr.json', 'labels/classes/zarr.json']);
    expect(files.find('labels/none')).toBeNull();
    await archive.close();
  });

  it('is not made to its end for a job that was cancelled meanwhile, and leaves nothing', async () => {
    const [own, size] = [join(folder, 'cancelled'), { width: 40, height: 30 }];
    await mkdir(own);
    const stop = new AbortController();
    const sink = await ZarrSink.create(join(own, 'a.ozx'), size, LABELS, 'archive', stop.signal);
    await sink.writeBand({ x: 0, y: 0, ...size }, labelsOf(size), 0);
    stop.abort(new Error('cancelled'));
    await expect(sink.finish()).rejects.toThrow('cancelled');
    await sink.abort();
    expect(await readdir(own)).toEqual([]);
  });

  it('that is damaged is no archive', async () => {
    const bytes = await readFile(path);
    const broken = join(folder, 'broken.ozx');
    for (const damaged of [bytes.subarray(0, -1), bytes.subarray(0, 10), Buffer.alloc(1000)]) {
      await writeFile(broken, damaged);
      const archive = await open(broken);
      await expect(readArchiveFiles(archive)).rejects.toThrow(/archive of a result is/);
      await archive.close();
    }
  });
});

describe('the lists of files of archives', () => {
  const size = { width: 30, height: 20 };
  const create = async (name: string, seed: number): Promise<string> => {
    const sink = await ZarrSink.create(join(folder, name), size, LABELS);
    await write(sink, size, labelsOf(size, seed));
    await sink.finish();
    return join(folder, name);
  };
  const lookUp = async (cache: ArchiveCache, path: string) => {
    const archive = await open(path);
    const files = await cache.filesOf(path, archive).finally(() => archive.close());
    return files;
  };

  it('are read once, and again where a file was replaced', async () => {
    const path = await create('listed.ozx', 0);
    const cache = new ArchiveCache();
    const [first, second] = await Promise.all([lookUp(cache, path), lookUp(cache, path)]);
    expect(second).toBe(first);
    const once = cache.bytes;
    expect(once).toBeGreaterThan(first!.bytes);
    await lookUp(cache, path);
    expect(cache.bytes).toBe(once);
    await create('listed.ozx', 1);
    expect(await lookUp(cache, path)).not.toBe(first);
  });

  it('are bounded: the least recently used is forgotten', async () => {
    const [one, two, three] = await Promise.all([0, 1, 2].map((i) => create(`many-${i}.ozx`, i)));
    const measured = new ArchiveCache();
    await lookUp(measured, one!);
    const { bytes } = measured;
    const cache = new ArchiveCache(2.5 * bytes);
    const first = await lookUp(cache, one!);
    const second = await lookUp(cache, two!);
    expect(await lookUp(cache, one!)).toBe(first);
    await lookUp(cache, three!);
    expect(await lookUp(cache, one!)).toBe(first);
    expect(await lookUp(cache, two!)).not.toBe(second);
    expect(cache.bytes).toBeLessThanOrEqual(2.5 * bytes);
  });

  it('are not held of what is damaged', async () => {
    const cache = new ArchiveCache();
    await writeFile(join(folder, 'cached.ozx'), 'no archive');
    for (let i = 0; i < 2; i++)
      await expect(lookUp(cache, join(folder, 'cached.ozx'))).rejects.toThrow('damaged');
    expect(cache.bytes).toBe(0);
  });

  it('have a limit, beyond which a stack is refused before anything is written', async () => {
    const stack = { sizeZ: 65_536, sizeT: 1 };
    const path = join(folder, 'too-many.ozx');
    await expect(
      ZarrSink.create(path, size, { ...PROBABILITIES, channels: 10, stack }),
    ).rejects.toMatchObject({
      code: 'unsupported-output',
      message: expect.stringMatching(/655,364 files, and one has 240,000 at most/),
    });
    expect((await readdir(folder)).filter((name) => name.startsWith('too-many'))).toEqual([]);
    const sink = await ZarrSink.create(path, size, { ...LABELS, stack });
    await sink.abort();
  });
});

it('a folder that is no earlier result is not replaced', async () => {
  const size = { width: 4, height: 4 };
  const path = join(folder, 'slide.zarr');
  await mkdir(path);
  await writeFile(join(path, 'zarr.json'), '{"zarr_format":3,"node_type":"group","attributes":{}}');
  await expect(ZarrSink.create(path, size, LABELS, 'folder')).rejects.toMatchObject({ code: 'conflict' });
  expect(await readdir(path)).toEqual(['zarr.json']);
});

describe('an earlier result', () => {
  const size = { width: 4, height: 4 };
  const create = async (path: string): Promise<void> => {
    const sink = await ZarrSink.create(path, size, LABELS, 'folder');
    await write(sink, size, labelsOf(size));
    await sink.finish();
  };

  it('is replaced', async () => {
    const path = join(folder, 'again.zarr');
    await create(path);
    await writeFile(join(path, 'labels', '.DS_Store'), 'how a window looked');
    const before = await stat(path);
    await create(path);
    expect((await stat(path)).ino).not.toBe(before.ino);
    expect((await readdir(folder)).filter((name) => name.startsWith('again'))).toEqual(['again.zarr']);
  });

  it.each(['labels/corrected', 'tables'])(
    'is not removed with what others have put into it: %s',
    async (own) => {
      const path = join(folder, `with-${own.slice(0, 3)}.zarr`);
      await create(path);
      await mkdir(join(path, own));
      await expect(create(path)).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining(`has ${own}, which this result would remove`),
      });
      expect(await readdir(join(path, own))).toEqual([]);
    },
  );

  it('is there again after a process that was killed while it was replaced', async () => {
    const path = join(folder, 'killed.zarr');
    await create(path);
    await rename(path, `${path}.earlier.partial`);
    const sink = await ZarrSink.create(path, size, LABELS, 'folder');
    expect(await readdir(path)).toContain('zarr.json');
    await sink.abort();
    await create(path);
    expect((await readdir(folder)).filter((name) => name.startsWith('killed'))).toEqual(['killed.zarr']);
  });

  it('is there again where it cannot be replaced', async () => {
    const path = join(folder, 'kept.zarr');
    await create(path);
    await expect(replaceFolder(join(folder, 'no draft'), path)).rejects.toThrow('ENOENT');
    expect(await readdir(path)).toContain('zarr.json');
    expect((await readdir(folder)).filter((name) => name.startsWith('kept'))).toEqual(['kept.zarr']);
  });
});

it('what a killed process has left is no part of the result', async () => {
  const size = { width: 4, height: 4 };
  const path = join(folder, 'left.zarr');
  const stale = join(`${path}.partial`, 'labels', 'classes', '0', 'c', '0');
  await mkdir(stale, { recursive: true });
  await writeFile(join(stale, '0'), 'of another run');
  const sink = await ZarrSink.create(path, size, LABELS, 'folder');
  await write(
    sink,
    size,
    Uint8Array.from({ length: 16 }, (_, i) => i % 3),
  );
  await sink.finish();
  const image = await openImage(path, options);
  expect([...(await wholeOf(image))]).toEqual(Array.from({ length: 16 }, (_, i) => i % 3));
});

it('checksums of shards are those of RFC 3720', () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
});

it('does not come back where what it belongs to is removed while it is written', async () => {
  const job = join(folder, 'removed-job');
  await mkdir(job);
  const size = { width: 1200, height: 1100 };
  const sink = await ZarrSink.create(join(job, 'labels.zarr'), size, LABELS);
  await rm(job, { recursive: true });
  await expect(write(sink, size, labelsOf(size)).then(() => sink.finish())).rejects.toThrow('ENOENT');
  await sink.abort();
  await expect(readdir(job)).rejects.toThrow('ENOENT');
});
