import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { ringArea } from '../../../tiling/regions/contours.js';
import { openImage } from '../../../tiling/sources/open.js';
import { testFolder } from '../../support/files.js';
import { unseam } from '../../support/product.js';
import { firstDifference } from '../../support/rasters.js';

const folder = await testFolder();

/** Long spirals and rings, dark on bright, with every kind of border between tiles crossing them. */
async function spirals(path: string, width: number, height: number): Promise<void> {
  const data = new Uint8Array(width * height).fill(40);
  const paint = (x: number, y: number) => {
    for (let dy = -3; dy <= 3; dy++)
      for (let dx = -3; dx <= 3; dx++) {
        const [px, py] = [Math.round(x) + dx, Math.round(y) + dy];
        if (px >= 0 && py >= 0 && px < width && py < height) data[py * width + px] = 210;
      }
  };
  const across = Math.max(1, Math.floor(width / 700));
  for (let i = 0; i < across; i++) {
    const [cx, cy, most] = [
      ((i + 0.5) * width) / across,
      height / 2,
      Math.min(width / across, height) / 2 - 20,
    ];
    for (let a = 0; a < 14 * Math.PI; a += 0.01)
      paint(cx + (a * most * Math.cos(a)) / 44, cy + (a * most * Math.sin(a)) / 44);
    for (let a = 0; a < 2 * Math.PI; a += 0.005) paint(cx + most * Math.cos(a), cy + most * Math.sin(a));
  }
  await sharp(data, { raw: { width, height, channels: 1 } })
    .toColourspace('b-w')
    .png()
    .toFile(path);
}

interface Feature {
  geometry: { type: string; coordinates: [number, number][][] };
  properties: { classification: { name: string; color: number[] }; measurements: Record<string, number> };
}

async function results(image: string, name: string, tile: string, more: string[] = []) {
  const file = (ending: string) => join(folder, `${name}-${tile}${ending}`);
  const run = await unseam([
    ...['segment', image, '-m', 'shapes', '--tile', tile, '-o', file('.tif'), '--mpp', '0.5', ...more],
    ...['--also', `geojson=${file('.geojson')}`, '--also', `objects=${file('.csv')}`],
    ...['--also', `objects=${file('.json')}`, '--also', `instances=${file('-instances.tif')}`],
    ...['--also', `thumbnail=${file('.png')}`],
  ]);
  expect(run).toMatchObject({ code: 0 });
  const read = async (path: string) => {
    const source = await openImage(path, { scratchDir: folder, maxPixels: 1e9, values: 'stored' });
    const { data } = await source.readRegion({ x: 0, y: 0, ...source.size });
    await source.close();
    return { data, ...source.size };
  };
  const text = await readFile(file('.geojson'), 'utf8');
  return {
    files: await Promise.all(
      ['.tif', '.geojson', '.csv', '.json', '-instances.tif'].map((e) => readFile(file(e))),
    ),
    mask: await read(file('.tif')),
    instances: await read(file('-instances.tif')),
    features: (JSON.parse(text) as { features: Feature[] }).features,
    objects: JSON.parse(await readFile(file('.json'), 'utf8')) as Record<string, number | string>[],
    csv: (await readFile(file('.csv'), 'utf8')).trim().split('\n'),
    thumbnail: await sharp(file('.png')).metadata(),
  };
}

/** Connected components by flood fill: the component's number of each pixel, and their count. */
function flooded({ data, width }: { data: ArrayLike<number>; width: number }) {
  const component = new Uint32Array(data.length);
  let count = 0;
  const open: number[] = [];
  for (let start = 0; start < data.length; start++) {
    if (component[start] || data[start] === 0) continue;
    component[start] = ++count;
    open.push(start);
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const x = at % width;
      for (const next of [x > 0 ? at - 1 : -1, x < width - 1 ? at + 1 : -1, at - width, at + width]) {
        if (next < 0 || next >= data.length || component[next] || data[next] !== data[at]) continue;
        component[next] = count;
        open.push(next);
      }
    }
  }
  return { component, count };
}

/** Checks that mask, contours, table and instances agree on every region, to the pixel. */
function expectAgreement({
  mask,
  instances,
  features,
  objects,
  csv,
}: Awaited<ReturnType<typeof results>>): void {
  const { component, count } = flooded(mask);
  expect([features.length, objects.length, csv.length - 1]).toEqual([count, count, count]);
  // Each instance is one component, and each component one instance.
  const pairs = new Map<number, number>();
  for (let i = 0; i < component.length; i++) {
    const id = instances.data[i]!;
    if ((id === 0) !== (component[i] === 0)) throw new Error(`pixel ${i} is ${id} among the instances`);
    if (id > 0 && pairs.get(id) !== component[i]) {
      if (pairs.has(id)) throw new Error(`instance ${id} holds more than one region`);
      pairs.set(id, component[i]!);
    }
  }
  expect(new Set(pairs.values()).size).toBe(count);
  const areas = new Float64Array(count + 1);
  for (const id of instances.data) areas[id]!++;
  for (const [i, object] of objects.entries()) {
    const { geometry, properties } = features[i]!;
    const rings = geometry.coordinates.map((ring) => ringArea(Int32Array.from(ring.slice(0, -1).flat())));
    const outlined = rings.reduce((a, b) => a + b);
    const id = Number(object.id);
    if (id !== i + 1 || properties.measurements['Object ID'] !== id)
      throw new Error(`object ${i} has id ${id}`);
    if (outlined !== object.area_px || areas[id] !== outlined) throw new Error(`the areas of ${id} differ`);
    if (properties.classification.name !== object.class) throw new Error(`the classes of ${id} differ`);
    if (object.area_um2 !== outlined / 4) throw new Error(`the area of ${id} in µm² is ${object.area_um2}`);
    if (csv[i + 1]!.split(',')[2] !== String(outlined)) throw new Error(`row ${i} of the CSV differs`);
  }
}

describe('spirals and rings that cross all tiles', () => {
  const image = join(folder, 'spirals.png');
  beforeAll(() => spirals(image, 1500, 800));

  it('are the same objects with tiles of 284 px, 572 px and the whole image', async () => {
    const whole = await results(image, 'spirals', 'whole');
    expectAgreement(whole);
    expect(whole.objects.length).toBeGreaterThan(1);
    expect(Math.max(...whole.objects.map(({ perimeter_px: length }) => Number(length)))).toBeGreaterThan(
      4000,
    );
    expect(whole.thumbnail).toMatchObject({ width: 750, height: 400 });
    for (const tile of ['284', '572']) {
      const tiled = await results(image, 'spirals', tile);
      expect(tiled.files.map((file, i) => file.equals(whole.files[i]!))).toEqual([
        true,
        true,
        true,
        true,
        true,
      ]);
    }
  });

  it('have fewer vertices when simplified', async () => {
    const whole = await results(image, 'exact', 'whole');
    const simple = await results(image, 'simple', 'whole', ['--simplify', '1.5']);
    const corners = ({ features }: typeof whole) =>
      features.reduce((sum, { geometry }) => sum + geometry.coordinates.flat().length, 0);
    expect(corners(simple)).toBeLessThan(corners(whole) / 2);
    expect(simple.files[2]!.equals(whole.files[2]!)).toBe(true);
  });
});

it('regions are not split in an image wider than one column block', async () => {
  const image = join(folder, 'wide.png');
  await spirals(image, 8700, 260);
  const tiled = await results(image, 'wide', '284');
  expectAgreement(tiled);
  const whole = await results(image, 'wide', 'whole');
  expect(tiled.files.map((file, i) => file.equals(whole.files[i]!))).toEqual([true, true, true, true, true]);
});

const slide = '../shared/data/slides/CMU-1-Small-Region.svs';
it.skipIf(!existsSync(slide))(
  'a slide: mask, GeoJSON, objects and instances agree, in its pixel size',
  async () => {
    const found = await results(slide, 'slide', 'auto');
    expectAgreement(found);
    const png = join(folder, 'slide-mask.png');
    const run = await unseam(['segment', slide, '-m', 'shapes', '-o', png, '--json']);
    expect(JSON.parse(run.stdout).image).toMatchObject({
      width: 2220,
      height: 2967,
      mpp: { x: 0.499, y: 0.499 },
    });
    const pixels = await sharp(png).toColourspace('b-w').raw().toBuffer();
    expect(firstDifference(pixels, found.mask.data)).toBe(-1);
  },
);
