import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningServer } from '../../../server/serve.js';
import { testFolder } from '../../support/files.js';
import { settledJob } from '../../support/jobs.js';
import { testServer } from '../../support/product.js';
import { type TestImage, writeTestTiff } from '../../support/tiff.js';
import { writeTestZarr } from '../../support/zarr.js';

/** What the slides' metadata say of their patient. */
const PATIENT = 'Mustermann-1951';
const folder = await testFolder();
const slides = join(folder, 'slides');
let server: RunningServer;

/** A picture of one colour. The tissue is gray; only pictures of the glass are magenta. */
function plain(width: number, height: number, rgb: readonly number[]): TestImage {
  return {
    width,
    height,
    channels: 3,
    data: Uint8Array.from({ length: width * height * 3 }, (_, i) => rgb[i % 3]!),
  };
}
const [GRAY, MAGENTA] = [
  [150, 150, 150],
  [255, 0, 255],
];
const tile = { width: 64, height: 64 };

beforeAll(async () => {
  await mkdir(slides);
  const strip = { compression: 8 };
  const tiled = { ...strip, tile };
  const aperio = `Aperio Image Library v12\n300x200 [0,0 300x200] (64x64) |AppMag = 20|MPP = 0.5|Filename = ${PATIENT}|User = ${PATIENT}`;
  await writeTestTiff(
    join(slides, 'slide.svs'),
    [
      plain(300, 200, GRAY),
      plain(96, 64, GRAY),
      plain(150, 100, GRAY),
      plain(70, 60, MAGENTA),
      plain(200, 80, MAGENTA),
    ],
    [
      { ...tiled, description: aperio },
      strip,
      tiled,
      { ...strip, newSubfileType: 1, description: `Aperio Image Library v12\nlabel 70x60 ${PATIENT}` },
      { ...strip, newSubfileType: 9, description: 'Aperio Image Library v12\nmacro 200x80' },
    ],
  );
  const image = (name: string, width: number, height: number, page: number) =>
    `<Image ID="Image:${page}" Name="${name}"><Description>${PATIENT}</Description>` +
    `<Pixels ID="Pixels:${page}" Type="uint8" DimensionOrder="XYCZT" SizeX="${width}" SizeY="${height}" SizeC="3" SizeZ="1" SizeT="1">` +
    `<Channel SamplesPerPixel="3"/><TiffData IFD="${page}" PlaneCount="1"/></Pixels></Image>`;
  const ome = `<?xml version="1.0"?><OME><Patient>${PATIENT}</Patient>${image(PATIENT, 300, 200, 0)}${image('label image', 70, 60, 1)}${image('macro image', 200, 80, 2)}</OME>`;
  await writeTestTiff(
    join(slides, 'slide.ome.tif'),
    [plain(300, 200, GRAY), plain(70, 60, MAGENTA), plain(200, 80, MAGENTA)],
    [{ ...tiled, description: ome }, strip, strip],
  );
  server = await testServer(join(folder, 'data'), { slides });
});
afterAll(() => server?.close());

const send = (path: string, init: RequestInit = {}) => fetch(`${server.url}${path}`, init);

/** Whether bytes are a picture with a pixel like that of the glass. */
async function showsGlass(bytes: Buffer): Promise<boolean> {
  const { data, info } = await sharp(bytes)
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  for (let i = 0; i + 2 < data.length; i += info.channels)
    if (data[i]! > 200 && data[i + 1]! < 60 && data[i + 2]! > 200) return true;
  return false;
}

it('the test would see the label', async () => {
  expect(await showsGlass(await sharp(join(slides, 'slide.svs'), { page: 3 }).png().toBuffer())).toBe(true);
  expect(await showsGlass(await sharp(join(slides, 'slide.svs'), { page: 0 }).png().toBuffer())).toBe(false);
});

describe.each(['slide.svs', 'slide.ome.tif'])('of %s', (name) => {
  const body = async () => new Uint8Array(await readFile(join(slides, name)));
  const queries = [
    ...Array.from({ length: 8 }, (_, page) => `page=${page}`),
    ...Array.from({ length: 4 }, (_, level) => `level=${level}`),
    ...['page=1&level=1', 'page=3&level=1', 'z=1', 't=1', 'channels=0', 'channels=2,1,0', ''],
  ];

  it('no parameter segments the label or the macro image, or shows them in an overlay', async () => {
    const outcomes: string[] = [];
    for (const query of queries) {
      const response = await send(`/v1/segment?model=shapes-notebook&output=overlay&${query}`, {
        method: 'POST',
        body: await body(),
      });
      const bytes = Buffer.from(await response.arrayBuffer());
      if (response.status === 200) expect([query, await showsGlass(bytes)]).toEqual([query, false]);
      expect([query, `${bytes.toString('latin1')}${response.headers.get('unseam-receipt')}`]).not.toEqual([
        query,
        expect.stringContaining(PATIENT),
      ]);
      outcomes.push(`${query} ${response.status}`);
    }
    const glass = name.endsWith('svs')
      ? ['page=1 415', 'page=3 415', 'page=4 415']
      : ['page=1 415', 'page=2 415'];
    expect(outcomes).toEqual(expect.arrayContaining(glass));
    expect(outcomes).toEqual(expect.arrayContaining(['page=0 200', ' 200']));
  });

  it('no job, plan, tile, thumbnail or file shows them, or what the slide says of the patient', async () => {
    for (const page of [0, 1, 2, 3, 4]) {
      const plan = await send('/v1/plan?model=shapes-notebook', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ source: { path: name }, page }),
      });
      expect(await plan.text()).not.toContain(PATIENT);
    }
    const created = await send('/v1/jobs?model=shapes-notebook&output=labels,overlay', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ source: { path: name } }),
    });
    const { id } = (await created.json()) as { id: string };
    expect((await settledJob(server.url, id)).state).toBe('succeeded');
    const pictures = [
      '/result?output=overlay',
      '/result?output=thumbnail',
      '/result?output=labels&format=png',
    ];
    for (let level = 0; level <= 9; level++)
      for (const [column, row] of [
        [0, 0],
        [1, 0],
        [0, 1],
      ])
        pictures.push(`/image_files/${level}/${column}_${row}.jpeg`);
    let shown = 0;
    for (const path of pictures) {
      const response = await send(`/v1/jobs/${id}${path}`);
      const bytes = Buffer.from(await response.arrayBuffer());
      if (response.status !== 200) continue;
      shown++;
      expect([path, await showsGlass(bytes)]).toEqual([path, false]);
    }
    expect(shown).toBeGreaterThan(10);
    const texts = [
      '',
      '/image.dzi',
      '/events',
      '/result?output=labels&format=tiff',
      '/result?output=geojson',
      '/result?output=objects&format=json',
    ];
    for (const path of texts)
      expect(await (await send(`/v1/jobs/${id}${path}`)).text()).not.toContain(PATIENT);
  });
});

it('no series of an OME-Zarr that its OME-XML or its own name calls so is read, whatever its place', async () => {
  const slide = join(slides, 'slide.zarr');
  await mkdir(join(slide, 'OME'), { recursive: true });
  const picture = plain(70, 60, MAGENTA);
  for (const series of ['0', '1', '2', 'first', 'named', 'unlisted'])
    await writeTestZarr(join(slide, series), [{ ...picture, data: Uint8Array.from(picture.data) }]);
  const image = (name: string) => `<Image Name="${name}"><Pixels SizeC="3" SizeX="70" SizeY="60"/></Image>`;
  const xml = `<OME>${image(PATIENT)}${image('label image')}${image('Macro')}${image('cells')}</OME>`;
  await writeFile(join(slide, 'OME', 'METADATA.ome.xml'), xml);
  const named = JSON.parse(await readFile(join(slide, 'named', 'zarr.json'), 'utf8'));
  named.attributes.multiscales[0].name = 'label image';
  await writeFile(join(slide, 'named', 'zarr.json'), JSON.stringify(named));
  await symlink('2', join(slide, 'linked.zarr'));
  const statuses = async () => {
    const found: Record<string, number> = {};
    for (const series of ['0', '1', '2', 'first', 'named', 'unlisted', 'linked.zarr']) {
      const plan = await send('/v1/plan?model=shapes-notebook', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ source: { path: `slide.zarr/${series}` }, channels: 0 }),
      });
      expect(await plan.text()).not.toContain(PATIENT);
      found[series] = plan.status;
    }
    return found;
  };
  const byNumber = { 0: 200, 1: 415, 2: 415, first: 200, named: 415, unlisted: 200, 'linked.zarr': 415 };
  expect(await statuses()).toEqual(byNumber);
  const series = ['0', 'unlisted', 'first', '2'];
  await writeFile(join(slide, 'OME', '.zattrs'), JSON.stringify({ series }));
  expect(await statuses()).toEqual({
    ...byNumber,
    1: 415,
    2: 200,
    first: 415,
    unlisted: 415,
    'linked.zarr': 200,
  });
  // An XML that cannot be read, and names a label, could mean any of them.
  await writeFile(join(slide, 'OME', 'METADATA.ome.xml'), xml.slice(0, -20));
  expect(Object.values(await statuses())).toEqual([415, 415, 415, 415, 415, 415, 415]);
});
