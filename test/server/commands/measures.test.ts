import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { uniform } from '../../../tiling/samples/random.js';
import { TiffSink } from '../../../tiling/sinks/tiff/tiff.js';
import { openImage } from '../../../tiling/sources/open.js';
import { testFolder } from '../../support/files.js';
import { areaOf, faultOf } from '../../support/polygons.js';
import { unseam } from '../../support/product.js';

const folder = await testFolder();
const pyramid = join(folder, 'pyramid.tif');
const size = { width: 601, height: 400 };

interface Feature {
  geometry: { coordinates: [number, number][][] };
  properties: { measurements: Record<string, number> };
}

/** Noise, so that regions touch themselves at corners, in levels of 601, 301 and 151 px. */
beforeAll(async () => {
  const sink = await TiffSink.create(pyramid, size, {
    channels: 1,
    dtype: 'uint8',
    mpp: null,
    overviews: 'mean',
  });
  const grain = (x: number, y: number, px: number) => uniform(Math.floor(x / px), Math.floor(y / px), px);
  const data = Uint8Array.from({ length: size.width * size.height }, (_, i) => {
    const [x, y] = [i % size.width, Math.floor(i / size.width)];
    return 40 + 130 * grain(x, y, 3) + 80 * grain(x, y, 14);
  });
  await sink.writeBand({ x: 0, y: 0, ...size }, data, 0);
  await sink.finish();
});

async function outlines(name: string, more: string[]): Promise<{ rings: number[][]; area: number }[]> {
  const path = join(folder, `${name}.geojson`);
  const run = ['segment', pyramid, '-m', 'shapes', '--output', 'geojson', '-o', path, ...more];
  expect(await unseam(run)).toMatchObject({ code: 0 });
  const { features } = JSON.parse(await readFile(path, 'utf8')) as { features: Feature[] };
  return features.map(({ geometry, properties }) => ({
    rings: geometry.coordinates.map((ring) => ring.slice(0, -1).flat()),
    area: properties.measurements['Area px^2']!,
  }));
}

it('the polygons of a mask are valid, and have the areas of its regions', async () => {
  const found = await outlines('exact', []);
  expect(found.length).toBeGreaterThan(20);
  for (const { rings, area } of found) {
    expect(faultOf(rings)).toBe(null);
    expect(rings.reduce((sum, ring) => sum + areaOf(ring), 0)).toBe(area);
  }
});

it('simplified polygons are valid too', async () => {
  for (const { rings, area } of await outlines('simple', ['--simplify', '1'])) {
    expect(faultOf(rings)).toBe(null);
    expect(Math.abs(rings.reduce((sum, ring) => sum + areaOf(ring), 0) - area)).toBeLessThan(0.001);
  }
});

it('polygons of a level are in full-resolution coordinates', async () => {
  const labels = join(folder, 'level.tif');
  const found = await outlines('level', ['--level', '1', '--also', `labels=${labels}`]);
  const mask = await openImage(labels, { scratchDir: folder, maxPixels: 1e6, values: 'stored' });
  expect(mask.size).toEqual({ width: 301, height: 200 });
  const { data } = await mask.readRegion({ x: 0, y: 0, ...mask.size });
  await mask.close();
  const pixels = data.filter((label) => label > 0).length;
  const pixelArea = (size.width / mask.size.width) * (size.height / mask.size.height);
  const outlined = found.reduce((sum, { rings }) => sum + rings.reduce((all, r) => all + areaOf(r), 0), 0);
  expect(outlined).toBeCloseTo(pixels * pixelArea, 3);
  expect(found.reduce((sum, { area }) => sum + area, 0)).toBeCloseTo(outlined, 3);
});

it('mean intensities are raw values of the image, whatever the intensity range', async () => {
  const [table, instances] = [join(folder, 'ranged.json'), join(folder, 'ranged.tif')];
  const run = ['segment', pyramid, '-m', 'shapes', '--output', 'objects', '-o', table, '--range', '20,260'];
  expect(await unseam([...run, '--also', `instances=${instances}`])).toMatchObject({ code: 0 });
  const objects = JSON.parse(await readFile(table, 'utf8')) as { id: number; mean_intensity: number }[];
  const read = async (path: string) => {
    const source = await openImage(path, { scratchDir: folder, maxPixels: 1e6, values: 'stored' });
    const { data } = await source.readRegion({ x: 0, y: 0, ...size });
    await source.close();
    return data;
  };
  const [image, ids] = [await read(pyramid), await read(instances)];
  const sums = objects.map(() => [0, 0]);
  for (const [i, id] of ids.entries()) {
    if (id === 0) continue;
    sums[id - 1]![0]! += image[i]!;
    sums[id - 1]![1]!++;
  }
  expect(objects.length).toBeGreaterThan(0);
  for (const { id, mean_intensity: mean } of objects) {
    expect(mean).toBeCloseTo(sums[id - 1]![0]! / sums[id - 1]![1]!, 3);
  }
});
