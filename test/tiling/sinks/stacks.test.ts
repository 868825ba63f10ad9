import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { MaskSink } from '../../../tiling/sink.js';
import { GeojsonWriter } from '../../../tiling/sinks/geojson.js';
import { writeInstances } from '../../../tiling/sinks/instances.js';
import { ObjectTable } from '../../../tiling/sinks/objects.js';
import { RawSink } from '../../../tiling/sinks/raw.js';
import { RegionSink } from '../../../tiling/sinks/regions.js';
import { TiffSink } from '../../../tiling/sinks/tiff/tiff.js';
import { openImage } from '../../../tiling/sources/open.js';
import { stackFor } from '../../../tiling/stack.js';
import { testFolder } from '../../support/files.js';
import { firstDifference } from '../../support/rasters.js';

const folder = await testFolder();
const ALL = { z: 'all', t: 'all' } as const;
const [WIDTH, HEIGHT] = [600, 300];
const SIZE = { width: WIDTH, height: HEIGHT };
const STACK = { sizeZ: 2, sizeT: 2 };
const classes = ['background', 'a', 'b'].map((name) => ({ name, colour: '#0080ff' }));

/** Squares of class 1 or 2, as many as the plane's number and one more. */
const labelsOf = (plane: number) =>
  Uint8Array.from({ length: WIDTH * HEIGHT }, (_, i) => {
    const [x, y] = [i % WIDTH, Math.floor(i / WIDTH)];
    const column = Math.floor(x / 40);
    const isSquare = y >= 10 && y < 30 && x % 40 >= 5 && x % 40 < 25 && column <= plane;
    return isSquare ? 1 + (column % 2) : 0;
  });
const planes = Array.from({ length: 4 }, (_, i) => labelsOf(i));

/** Writes all planes, in bands of some rows. */
async function fill(sink: MaskSink, rows = 128): Promise<void> {
  for (const [plane, labels] of planes.entries()) {
    for (let y = 0; y < HEIGHT; y += rows) {
      const height = Math.min(rows, HEIGHT - y);
      const band = labels.slice(y * WIDTH, (y + height) * WIDTH);
      await sink.writeBand({ x: 0, y, width: WIDTH, height }, band, plane);
    }
  }
  await sink.finish();
}

const tiff = (path: string) =>
  TiffSink.create(path, SIZE, {
    channels: 1,
    dtype: 'uint8',
    mpp: null,
    overviews: 'majority',
    stack: STACK,
  });
const open = (path: string) =>
  openImage(path, { ...ALL, scratchDir: folder, maxPixels: 1e9, values: 'stored' });
const wholeOf = { x: 0, y: 0, ...SIZE };

describe('a stack as a TIFF', () => {
  it('has all planes with their pyramids, and the same bytes in any bands', async () => {
    const [path, other] = [join(folder, 'a.tif'), join(folder, 'b.tif')];
    await fill(await tiff(path));
    await fill(await tiff(other), 41);
    expect((await readFile(path)).equals(await readFile(other))).toBe(true);
    const image = await open(path);
    expect(image.facts.stack).toEqual(STACK);
    const stack = stackFor(image, ALL)!;
    for (const [i, labels] of planes.entries()) {
      const source = stack.source(i);
      expect(firstDifference((await source.readRegion(wholeOf)).data, labels)).toBe(-1);
      expect(source.overviews.map(({ size }) => size)).toEqual([
        { width: 300, height: 150 },
        { width: 150, height: 75 },
      ]);
      const { data } = await source.overviews[0]!.readRegion({ x: 0, y: 0, width: 300, height: 150 });
      expect(data[300 * 10 + 20 * i + 10]).toBe(1 + (i % 2));
    }
    await stack.close();
    await image.close();
  });
});

it('a stack as raw values has its planes after each other', async () => {
  const path = join(folder, 'planes.raw');
  await fill(await RawSink.create(path, SIZE, 1));
  expect((await readFile(path)).equals(Buffer.concat(planes))).toBe(true);
});

describe('the regions of a stack', () => {
  const stack = {
    ...STACK,
    zMicrons: undefined,
    planes: [0, 1].flatMap((t) => [3, 4].map((z) => ({ z, t }))),
    source: () => {
      throw new Error('regions without intensities read no pixels');
    },
    close: async () => undefined,
  };
  const options = { contours: true, source: null, stack } as const;

  it('are of one plane each, which GeoJSON states as QuPath does, with ids of the whole stack', async () => {
    const path = join(folder, 'regions.geojson');
    const writer = await GeojsonWriter.create(path, classes, SIZE, SIZE, 0);
    await fill(new RegionSink(SIZE, [writer], options));
    const { features } = JSON.parse(await readFile(path, 'utf8')) as {
      features: { geometry: { plane: object }; properties: { measurements: Record<string, number> } }[];
    };
    expect(features.map(({ properties }) => properties.measurements['Object ID'])).toEqual(
      Array.from({ length: 1 + 2 + 3 + 4 }, (_, i) => i + 1),
    );
    expect([features[0], features[1], features[9]].map((feature) => feature!.geometry.plane)).toEqual([
      { c: -1, z: 3, t: 0 },
      { c: -1, z: 4, t: 0 },
      { c: -1, z: 4, t: 1 },
    ]);
  });

  it('have columns of their plane, and are numbered as the stack of instances is', async () => {
    const [table, mask, instances] = ['objects.csv', 'mask.tif', 'instances.tif'].map((name) =>
      join(folder, name),
    );
    const writer = await ObjectTable.create(table!, 'csv', {
      classes,
      mpp: null,
      channels: [],
      isStack: true,
    });
    await fill(new RegionSink(SIZE, [writer], options));
    await fill(await tiff(mask!));
    const labels = await open(mask!);
    const own = stackFor(labels, ALL)!;
    await writeInstances(labels, instances!, { mpp: null, scratch: join(folder, 'ids'), stack: own });
    await own.close();
    await labels.close();

    const [head, ...rows] = (await readFile(table!, 'utf8'))
      .trim()
      .split('\n')
      .map((row) => row.split(','));
    expect(head!.slice(0, 4)).toEqual(['id', 'z', 't', 'class']);
    const painted = await open(instances!);
    const ids = stackFor(painted, ALL)!;
    for (const row of rows) {
      const [id, z, t] = row.map(Number) as [number, number, number];
      const [x, y] = [
        Number(row[head!.indexOf('centroid_x_px')]),
        Number(row[head!.indexOf('centroid_y_px')]),
      ];
      const at = { x: Math.floor(x), y: Math.floor(y), width: 1, height: 1 };
      const plane = stack.planes.findIndex((p) => p.z === z && p.t === t);
      expect((await ids.source(plane).readRegion(at)).data[0]).toBe(id);
    }
    await ids.close();
    await painted.close();
  });
});
