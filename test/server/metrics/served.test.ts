import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeServer, fakeImage, fakeServer, FAKE_RESULT as mask } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { settledJob } from '../../support/jobs.js';

const folder = await testFolder();
const image = fakeImage(900, 700);
let server: FakeServer;
beforeAll(async () => {
  server = await fakeServer(join(folder, 'data'), { quotaBytes: 1e9, maxBodyBytes: 1e6 });
});
afterAll(() => server?.close());

const scrape = async () => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
};
/** How much a metric grows while something is done. */
async function growth(name: string, work: () => Promise<unknown>): Promise<() => Promise<number>> {
  const before = (await scrape()).get(name) ?? 0;
  await work();
  return async () => ((await scrape()).get(name) ?? 0) - before;
}
const post = (path: string, body: NonNullable<RequestInit['body']>, headers: Record<string, string> = {}) =>
  fetch(`${server.url}${path}`, { method: 'POST', body, headers });
const bytes = new Uint8Array(image);

describe('the bytes of images', () => {
  it('are counted as they are received: bodies, files of forms, and parts of uploads', async () => {
    const form = new FormData();
    form.append('image', new Blob([bytes]), 'name.png');
    const grown = await growth('unseam_upload_bytes_total', async () => {
      await post('/v1/segment?model=shapes', bytes);
      await post('/v1/segment?model=shapes', form);
      const tus = { 'tus-resumable': '1.0.0' };
      const headers = { ...tus, 'upload-length': String(image.length) };
      const created = await fetch(`${server.url}/v1/uploads`, { method: 'POST', headers });
      const patch = { ...tus, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' };
      const part = bytes.subarray(0, 10);
      const url = new URL(created.headers.get('location')!, server.url);
      expect((await fetch(url, { method: 'PATCH', headers: patch, body: part })).status).toBe(204);
    });
    expect(await grown()).toBe(2 * image.length + 10);
    expect((await scrape()).get('unseam_upload_reserved_bytes')).toBe(image.length - 10);
  });

  it('are counted as they are sent: whole results, and parts of them', async () => {
    const grown = await growth('unseam_result_bytes_total{output="labels"}', async () => {
      const { id } = (await (await post('/v1/jobs?model=shapes', bytes)).json()) as { readonly id: string };
      await settledJob(server.url, id);
      const url = `${server.url}/v1/jobs/${id}/result`;
      await (await fetch(url)).arrayBuffer();
      await (await fetch(url, { headers: { range: 'bytes=0-9' } })).arrayBuffer();
      await fetch(url, { method: 'HEAD' });
    });
    await expect.poll(grown).toBe(mask.length + 10);
  });

  it('are stated with the quota that they count towards', async () => {
    const metrics = await scrape();
    expect(metrics.get('unseam_data_quota_bytes')).toBe(1e9);
    expect(metrics.get('unseam_data_bytes')).toBeGreaterThan(image.length);
  });
});

describe('what clients send', () => {
  it('is counted by the code of its error', async () => {
    const grown = await growth('unseam_http_problems_total{code="unsupported-image"}', () =>
      post('/v1/segment?model=shapes', 'no image'),
    );
    expect(await grown()).toBe(1);
  });

  it('makes no series of its own, whatever it is', async () => {
    const send = async (what: string) => {
      await post(`/v1/${what}`, bytes);
      await post(`/v1/segment?model=${what}`, bytes);
      await post(`/v1/segment?model=shapes&output=${what}`, bytes);
      await fetch(`${server.url}/v1/jobs/${what}/result?output=${what}`);
      await fetch(`${server.url}/v1/models/${what}`, { headers: { accept: what, 'user-agent': what } });
      await fetch(`${server.url}/web/${what}`, { method: 'PUT' });
    };
    await send('one');
    const ofServer = async () => [...(await scrape()).keys()].filter((name) => name.startsWith('unseam_'));
    const series = await ofServer();
    for (const what of ['two', 'three', 'fo%75r', '..%2f..']) await send(what);
    expect(await ofServer()).toEqual(series);
  });
});
