import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { uniform } from '../../tiling/samples/random.js';
import { TiffSink } from '../../tiling/sinks/tiff.js';
import { testFolder } from '../support/files.js';
import { areaOf, faultOf } from '../support/polygons.js';
import { unseam } from '../support/product.js';

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
    ...{ channels: 1, dtype: 'uint8', mpp: null, overviews: 'mean' },
  });
  const grain = (x: number, y: number, px: number) => uniform(Math.floor(x / px), Math.floor(y / px), px);
  const data = Uint8Array.from({ length: size.width * size.height }, (_, i) => {
    const [x, y] = [i % size.width, Math.floor(i / size.width)];
    return 40 + 130 * grain(x, y, 3) + 80 * grain(x, y, 14);
  });
  await sink.writeBand({ x: 0, y: 0, ...size }, data);
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

it('so are those of a level, simplified', async () => {
  const found = await outlines('level', ['--level', '1', '--simplify', '1']);
  for (const { rings, area } of found) {
    expect(faultOf(rings)).toBe(null);
    expect(Math.abs(rings.reduce((sum, ring) => sum + areaOf(ring), 0) - area)).toBeLessThan(0.01);
  }
});
