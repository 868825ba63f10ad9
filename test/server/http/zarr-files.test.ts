import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import type { RunningServer } from '../../../server/serve.js';
import { openImage } from '../../../tiling/sources/open.js';
import { testFolder } from '../../support/files.js';
import { settledJob } from '../../support/jobs.js';
import { testServer } from '../../support/product.js';
import { firstDifference, pattern } from '../../support/rasters.js';

const folder = await testFolder();
const data = join(folder, 'data');
const [width, height] = [700, 600];
let server: RunningServer;
let image: Uint8Array<ArrayBuffer>;
beforeAll(async () => {
  const { data: gray } = pattern(width, height);
  const picture = sharp(Buffer.from(gray.buffer), { raw: { width, height, channels: 1 } });
  image = new Uint8Array(await picture.png().toBuffer());
  server = await testServer(data, { reusesResults: true });
});
afterAll(() => server?.close());

const send = (path: string, init: RequestInit = {}) => fetch(`${server.url}${path}`, init);
async function jobOf(query: string, headers: Record<string, string> = {}): Promise<JobView> {
  const created = await send(`/v1/jobs?model=shapes${query}`, { method: 'POST', body: image, headers });
  return settledJob(server.url, ((await created.json()) as JobView).id);
}
const resultOf = async (id: string, query: string) =>
  Buffer.from(await (await send(`/v1/jobs/${id}/result?${query}`)).arrayBuffer());
const options = { scratchDir: folder, maxPixels: 1e9, values: 'stored', allowedHosts: 'any' } as const;

it('the Zarr of a job is read by its URL, and has the values of its TIFF', async () => {
  const { id } = await jobOf('&output=labels:zarr,probabilities:zarr,probabilities:tiff,probabilities:raw');
  for (const result of ['labels', 'probabilities'] as const) {
    const read = await openImage(`${server.url}/v1/jobs/${id}/${result}.zarr`, options);
    expect(read.size).toEqual({ width, height });
    const { data: values } = await read.readRegion({ x: 0, y: 0, width, height });
    const raw = await resultOf(id, `output=${result}&format=raw`);
    const floats = () => new Float32Array(Uint8Array.from(raw).buffer);
    expect(firstDifference(values, result === 'labels' ? raw : floats())).toBe(-1);
    await read.close();
  }
});

it('it is one file, whose parts are requested by ranges, and whose files have tags', async () => {
  const { id } = await jobOf('&output=labels:zarr');
  const url = `/v1/jobs/${id}/result?output=labels&format=zarr`;
  const response = await send(url);
  expect(response.headers.get('content-type')).toBe('application/zip');
  expect(response.headers.get('content-disposition')).toMatch(/-labels\.ozx"?$/);
  const archive = Buffer.from(await response.arrayBuffer());
  expect(response.headers.get('content-length')).toBe(String(archive.length));
  const part = await send(url, { headers: { range: 'bytes=50-149' } });
  expect(Buffer.from(await part.arrayBuffer()).equals(archive.subarray(50, 150))).toBe(true);

  const shard = `/v1/jobs/${id}/labels.zarr/labels/classes/0/c/0/0`;
  const whole = await send(shard);
  const bytes = Buffer.from(await whole.arrayBuffer());
  expect(archive.includes(bytes)).toBe(true);
  const tail = await send(shard, { headers: { range: 'bytes=-36' } });
  expect([tail.status, tail.headers.get('content-range')]).toEqual([
    206,
    `bytes ${bytes.length - 36}-${bytes.length - 1}/${bytes.length}`,
  ]);
  expect(Buffer.from(await tail.arrayBuffer()).equals(bytes.subarray(-36))).toBe(true);
  const etag = whole.headers.get('etag')!;
  const again = { 'if-none-match': etag, 'cache-control': 'max-age=0' };
  expect((await send(shard, { headers: again })).status).toBe(304);
  const missing = await send(`${shard}1`, {
    headers: { 'if-none-match': '*', 'cache-control': 'max-age=0' },
  });
  expect([missing.status, missing.headers.get('etag')?.includes('zarr/') ?? false]).toEqual([404, false]);
  expect((await send(shard, { method: 'HEAD' })).headers.get('content-length')).toBe(String(bytes.length));
  expect((await send(`/v1/jobs/${id}/labels.zarr/labels%2Fzarr.json`)).status).toBe(200); // as our client encodes it
  for (const none of ['labels.zarr/labels%2F..%2Fzarr.json', 'labels.zarr/..%2Fjob.json', 'labels.zarr//'])
    expect((await send(`/v1/jobs/${id}/${none}`)).status).toBe(404);
});

it('one that is derived later has the same bytes, and counts for the disk', async () => {
  const { id: requested } = await jobOf('&output=labels:zarr');
  const { id } = await jobOf('', { 'cache-control': 'no-cache' });
  const before = await readdir(join(data, 'jobs', id));
  expect(before).not.toContain('labels.ozx');
  const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const derived = await resultOf(id, 'output=labels&format=zarr');
  expect(sha256(derived)).toBe(sha256(await resultOf(requested, 'output=labels&format=zarr')));
  expect((await readdir(join(data, 'jobs', id))).sort()).toEqual([...before, 'labels.ozx'].sort());
  const { size } = await stat(join(data, 'jobs', id, 'labels.ozx'));
  expect(size).toBe(derived.length);
});

it('is removed with its job, and linked by later jobs with the same key', async () => {
  const { id } = await jobOf('&output=labels:zarr');
  const { id: later, cachedFrom } = await jobOf('&output=labels:zarr');
  expect(cachedFrom).not.toBeNull();
  const bytes = await readFile(join(data, 'jobs', later, 'labels.ozx'));
  expect((await send(`/v1/jobs/${id}`, { method: 'DELETE' })).status).toBe(204);
  expect(await readdir(join(data, 'jobs'))).not.toContain(id);
  expect((await resultOf(later, 'output=labels&format=zarr')).equals(bytes)).toBe(true);
  expect((await send(`/v1/jobs/${id}/labels.zarr/zarr.json`)).status).toBe(404);
});

it('is sent to a client that waits for it', async () => {
  const response = await send('/v1/segment?model=shapes&output=labels:zarr', { method: 'POST', body: image });
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/zip']);
  const { id } = await jobOf('&output=labels:zarr');
  const sent = Buffer.from(await response.arrayBuffer());
  expect(sent.equals(await resultOf(id, 'output=labels&format=zarr'))).toBe(true);
});
