import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningServer } from '../../../server/serve.js';
import { testFolder } from '../../support/files.js';
import { settledJob } from '../../support/jobs.js';
import { testServer } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';
import { writeTestTiff } from '../../support/tiff.js';

/** The pixels of an image have it, uncompressed, as its description has: whoever finds it, has found a part of the image. */
const MARKER = 'MARKER-OF-ONE-PATIENT';
const folder = await testFolder();
const [data, temporary, cache] = ['data', 'tmp', 'cache'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];
const { TMPDIR, XDG_CACHE_HOME } = process.env;
let server: RunningServer;
let image: Uint8Array<ArrayBuffer>;
beforeAll(async () => {
  for (const name of [temporary, cache]) await mkdir(name);
  Object.assign(process.env, { TMPDIR: temporary, XDG_CACHE_HOME: cache });
  const path = join(folder, 'slide.tif');
  const { data: pixels, ...rest } = pattern(300, 200);
  const bytes = Uint8Array.from(pixels);
  bytes.set(Buffer.from(MARKER), 5000);
  await writeTestTiff(
    path,
    { ...rest, data: bytes, width: 300, height: 200, channels: 1 },
    { compression: 1, description: MARKER },
  );
  image = new Uint8Array(await readFile(path));
  server = await testServer(data, { reusesResults: true, responseCacheBytes: 1e7, tileCacheBytes: 1e7 });
});
afterAll(async () => {
  for (const [name, value] of Object.entries({ TMPDIR, XDG_CACHE_HOME }))
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  await server?.close();
});

/** The files below the server's folders that have a text, in their bytes or in their names. */
async function filesWith(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const root of [data, temporary, cache]) {
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (path.includes(text) || (entry.isFile() && (await readFile(path)).includes(text))) found.push(path);
    }
  }
  return found;
}
const send = (path: string, init: RequestInit = {}) => fetch(`${server.url}${path}`, init);
async function createJob(query = ''): Promise<string> {
  const created = await send(`/v1/jobs?model=shapes${query}`, { method: 'POST', body: image });
  return ((await created.json()) as { id: string }).id;
}
const remove = async (id: string) => (await send(`/v1/jobs/${id}`, { method: 'DELETE' })).status;

describe('what was deleted is in no file of the server', () => {
  it('a job that succeeded, with its image, its results, and what viewers had open', async () => {
    const id = await createJob('&output=labels,objects,geojson');
    expect((await settledJob(server.url, id)).state).toBe('succeeded');
    for (const path of [
      '/result?output=overlay',
      '/result?output=instances',
      '/image_files/9/0_0.jpeg',
      '/mask_files/9/0_0.png',
    ])
      expect((await send(`/v1/jobs/${id}${path}`)).status).toBe(200);
    expect(await filesWith(MARKER)).toEqual([join(data, 'jobs', id, 'upload')]);
    expect(await remove(id)).toBe(204);
    expect([await filesWith(MARKER), await filesWith(id)]).toEqual([[], []]);
  });

  it('a job that was cancelled while it ran, and then removed', async () => {
    const id = await createJob('&tile=108&priority=bulk&tta=1');
    await send(`/v1/jobs/${id}`, { method: 'DELETE' });
    expect(await filesWith(MARKER)).toEqual([]); // nothing of a cancelled job remains but its record
    expect(await remove(id)).toBe(204);
    expect(await filesWith(id)).toEqual([]);
  });

  it('an upload, complete or broken off, and an image that is segmented at once', async () => {
    const tus = { 'tus-resumable': '1.0.0' };
    const { headers } = await send('/v1/uploads', {
      method: 'POST',
      headers: {
        ...tus,
        'upload-length': String(image.length + 1),
        'upload-metadata': `filename ${btoa(MARKER)}`,
      },
    });
    const address = headers.get('location')!;
    await send(address, {
      method: 'PATCH',
      headers: { ...tus, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' },
      body: image,
    });
    expect(await filesWith(MARKER)).toHaveLength(2); // its bytes, and what its client said of it
    expect((await send(address, { method: 'DELETE', headers: tus })).status).toBe(204);
    expect((await send('/v1/segment?model=shapes', { method: 'POST', body: image })).status).toBe(200);
    await expect.poll(() => readdir(join(data, 'jobs'))).toEqual([]); // it ends with its request
    expect(await filesWith(MARKER)).toEqual([]);
    expect(await filesWith(address.replace('/v1/uploads/', ''))).toEqual([]);
  });

  it('a job whose results another one shares: that one keeps its own', async () => {
    const [first, second] = [await createJob(), await createJob()];
    await settledJob(server.url, first);
    const third = await createJob();
    await Promise.all([first, second, third].map((id) => settledJob(server.url, id)));
    for (const id of [first, second]) expect(await remove(id)).toBe(204);
    expect(await filesWith(MARKER)).toEqual([join(data, 'jobs', third, 'upload')]);
    expect((await send(`/v1/jobs/${third}/result`)).status).toBe(200);
    expect(await remove(third)).toBe(204);
    expect(await filesWith(MARKER)).toEqual([]);
    // Nor is there anything in memory that a later job of the same image would get.
    const again = await send('/v1/jobs?model=shapes', { method: 'POST', body: image });
    expect(again.headers.get('cache-status')).toBe('unseam; fwd=miss');
    await again.body?.cancel();
  });
});
