import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testFolder } from '../../support/files.js';
import { serverProcess } from '../../support/product.js';
import { serveFolder } from '../../support/web.js';

/** A part of every name of a file, a folder and an address, of none of the server's own. */
const MARKER = 'Mustermann';
const folder = await testFolder();
const data = join(folder, 'data');
const slides = join(folder, 'slides');
let server: Awaited<ReturnType<typeof serverProcess>>;
let images: string;
/** All that the server has printed, and all that its clients have got. */
let printed = '';
let received = '';

beforeAll(async () => {
  const ward = join(slides, `${MARKER}-ward`);
  await mkdir(ward, { recursive: true });
  const image = sharp({ create: { width: 90, height: 80, channels: 3, background: '#c8a' } });
  await image
    .clone()
    .tiff({ tile: true, tileWidth: 64, tileHeight: 64 })
    .toFile(join(ward, `${MARKER}.tif`));
  await image
    .clone()
    .png()
    .toFile(join(ward, `${MARKER}.png`));
  await writeFile(
    join(ward, `${MARKER}-torn.tif`),
    (await readFile(join(ward, `${MARKER}.tif`))).subarray(0, 300),
  );
  await writeFile(join(ward, `${MARKER}-none.xyz`), 'no image at all');
  images = await serveFolder(slides);
  const { host } = new URL(images);
  const flags = ['--private-names', '--slides', slides, '--image-hosts', host, '--log-level', 'trace'];
  server = await serverProcess(data, flags, { onOutput: (text) => (printed += text) });
});
afterAll(async () => {
  server?.process.kill('SIGKILL');
  await server?.exit;
});

async function send(
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; text: string; headers: Headers }> {
  const response = await fetch(`${server.url}${path}`, init);
  const text = Buffer.from(await response.arrayBuffer()).toString('latin1');
  received += `${JSON.stringify([...response.headers])}\n${text}\n`;
  return { status: response.status, text, headers: response.headers };
}
const createJob = (body: object) =>
  send('/v1/jobs', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'shapes', ...body }),
  });
const idOf = ({ text }: { readonly text: string }) => (JSON.parse(text) as { id: string }).id;
async function ended(id: string): Promise<string> {
  const events = await send(`/v1/jobs/${id}/events`);
  return [...events.text.matchAll(/"state":"(\w+)"/g)].at(-1)![1]!;
}
async function visit(id: string): Promise<void> {
  const paths = [
    '',
    '/result',
    '/result?output=objects',
    '/result?output=thumbnail',
    '/image.dzi',
    '/mask.dzi',
    '/preview',
  ];
  for (const path of [...paths, '/image_files/7/0_0.jpeg', '/mask_files/7/0_0.png', '/resume', '/nothing'])
    await send(`/v1/jobs/${id}${path}`);
}

describe('with --private-names', () => {
  it('an uploaded file has no name, anywhere', async () => {
    const bytes = await readFile(join(slides, `${MARKER}-ward`, `${MARKER}.png`));
    const form = () => {
      const body = new FormData();
      body.append('image', new Blob([new Uint8Array(bytes)]), `${MARKER}.png`);
      return body;
    };
    expect((await send('/v1/segment?model=shapes', { method: 'POST', body: form() })).status).toBe(200);
    const plain = idOf(await send('/v1/jobs?model=shapes', { method: 'POST', body: form() }));
    expect(await ended(plain)).toBe('succeeded');

    const tus = { 'tus-resumable': '1.0.0' };
    const made = await send('/v1/uploads', {
      method: 'POST',
      headers: {
        ...tus,
        'upload-length': String(bytes.length),
        'upload-metadata': `filename ${btoa(`${MARKER}.png`)}`,
      },
    });
    const address = made.headers.get('location')!;
    await send(address, {
      method: 'PATCH',
      headers: { ...tus, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' },
      body: new Uint8Array(bytes),
    });
    expect((await send(address, { method: 'HEAD', headers: tus })).headers.get('upload-metadata')).toBeNull();
    const resumed = idOf(await createJob({ source: { upload: address } }));
    expect(await ended(resumed)).toBe('succeeded');
    for (const id of [plain, resumed]) {
      await visit(id);
      expect((await send(`/v1/jobs/${id}/result`)).headers.get('content-disposition')).toContain(id);
    }
    for (const name of await readdir(data, { recursive: true }))
      if (/\.json$/.test(name))
        expect(await readFile(join(data, name), 'utf8')).not.toMatch(new RegExp(MARKER));
  });

  it('an image that is read where it is has no name in what clients see', async () => {
    const path = `${MARKER}-ward/${MARKER}.tif`;
    for (const source of [{ path }, { url: `${images}/${path}` }]) {
      const id = idOf(await createJob({ source, 'skip-background': `${MARKER}-ward/${MARKER}.png` }));
      expect(await ended(id)).toBe('succeeded');
      await visit(id);
      expect(JSON.parse((await send(`/v1/jobs/${id}`)).text)).toMatchObject({
        source: expect.not.objectContaining({ name: path }),
      });
    }
    await send('/v1/jobs');
  });

  it('errors do not repeat it', async () => {
    const ward = `${MARKER}-ward`;
    const codes: number[] = [];
    for (const source of [
      { path: `${ward}/${MARKER}-missing.svs` },
      { path: `../${MARKER}.svs` },
      { path: join(slides, ward, `${MARKER}-torn.tif`) },
      { path: `${ward}/${MARKER}-none.xyz` },
      { path: ward },
      { url: `${images}/${ward}/${MARKER}-missing.tif` },
      { url: `${images}/${ward}/${MARKER}-torn.tif` },
      { url: `http://${MARKER}.example/${MARKER}.tif` },
      { url: `http://user:${MARKER}@127.0.0.1:1/x?key=${MARKER}` },
      { url: `${MARKER}` },
      { upload: `/v1/uploads/${MARKER}` },
    ])
      codes.push((await createJob({ source })).status);
    codes.push(
      (await createJob({ source: { path: `${ward}/${MARKER}.tif` }, 'skip-background': `${MARKER}.png` }))
        .status,
    );
    expect(codes.filter((code) => code < 400 || code >= 500)).toEqual([]);
  });

  it('a job whose image disappears or is damaged fails without naming it', async () => {
    const copy = join(slides, `${MARKER}-later.tif`);
    await copyFile(join(slides, `${MARKER}-ward`, `${MARKER}.tif`), copy);
    const id = idOf(await createJob({ source: { path: `${MARKER}-later.tif` } }));
    await ended(id);
    await rm(copy);
    await visit(id);
  });

  it('nothing that was printed or sent has it', async () => {
    await send('/metrics', { headers: { accept: 'application/openmetrics-text' } });
    expect(printed).toContain('"msg":"request refused"');
    expect(printed).toContain('"audit":"createJob"');
    for (const text of [printed, received])
      for (const name of [MARKER, MARKER.toLowerCase(), btoa(MARKER).slice(0, -2), new URL(images).host])
        expect(text.split('\n').filter((line) => line.includes(name))).toEqual([]);
  });
});
