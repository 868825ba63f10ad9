import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import { parseRecord } from '../../../server/jobs/record.js';
import { type FakeServer, fakeImage, fakeServer, FAKE_RESULT as mask } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { settledJob } from '../../support/jobs.js';

const folder = await testFolder();
const slide = fakeImage(900, 700);
let server: FakeServer;
beforeAll(async () => {
  server = await fakeServer(join(folder, 'data'), { syncPixels: 900 * 700 });
});
afterAll(() => server?.close());

const at = (path: string) => `${server.url}${path}`;
const submit = (query = 'model=shapes', headers: Record<string, string> = {}) =>
  fetch(at(`/v1/jobs?${query}`), { method: 'POST', body: new Uint8Array(slide), headers });
const view = async (response: Response) => (await response.json()) as JobView;
const problem = async (response: Response) => (await response.json()) as { type: string; detail: string };
const ended = (id: string) => settledJob(server.url, id);
const bytes = async (response: Response) => Buffer.from(await response.arrayBuffer());

describe('a job', () => {
  it('serves its results to range and conditional requests', async () => {
    const { id } = await view(await submit());
    await ended(id);
    const url = at(`/v1/jobs/${id}/result?output=labels`);
    const etag = (await fetch(url, { method: 'HEAD' })).headers.get('etag')!;
    const part = await fetch(url, { headers: { range: 'bytes=100-299', 'if-range': etag } });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 100-299/${mask.length}`]);
    expect((await bytes(part)).equals(mask.subarray(100, 300))).toBe(true);
    const tail = await fetch(url, { headers: { range: 'bytes=-7' } });
    expect((await bytes(tail)).equals(mask.subarray(-7))).toBe(true);
    expect((await fetch(url, { headers: { range: `bytes=${mask.length}-` } })).status).toBe(416);
    expect((await fetch(url, { headers: { range: 'bytes=0-9', 'if-range': '"other"' } })).status).toBe(200);
    expect(
      (await fetch(url, { headers: { 'if-none-match': etag, 'cache-control': 'max-age=0' } })).status,
    ).toBe(304);
    const missing = await fetch(at(`/v1/jobs/${id}/result?output=probabilities`));
    expect([missing.status, (await problem(missing)).detail]).toEqual([
      404,
      expect.stringMatching(/no probabilities as tiff; it has labels as tiff/),
    ]);
  });
});

describe('a result', () => {
  it('is refused in a format that it does not have', async () => {
    const { id } = await view(await submit());
    await ended(id);
    const refused = await fetch(at(`/v1/jobs/${id}/result?output=geojson&format=tiff`));
    expect([refused.status, (await problem(refused)).detail]).toEqual([
      406,
      'geojson are written as geojson, not tiff',
    ]);
  });
});

describe('a job of a quantised version', () => {
  it('names it, also in its record', async () => {
    const { id, model } = await view(await submit('model=em-membrane/1-int8'));
    expect(model).toBe('em-membrane/1-int8');
    await ended(id);
    const { receipt, ...record } = JSON.parse(
      await readFile(join(folder, 'data', 'jobs', id, 'job.json'), 'utf8'),
    ) as { receipt: { model: object } };
    const own = { ...receipt, model: { ...receipt.model, version: '1-int8' } };
    expect(parseRecord(JSON.stringify({ ...record, receipt: own }), id)).toMatchObject({
      request: { model: 'em-membrane/1-int8' },
      receipt: { model: { version: '1-int8' } },
    });
  });
});

describe('a client', () => {
  it('that retries with its idempotency key gets the same job', async () => {
    const key = { 'idempotency-key': 'a-1' };
    const first = await view(await submit('model=shapes', key));
    const again = await submit('model=shapes', key);
    expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([202, 'true']);
    expect((await view(again)).id).toBe(first.id);
    expect((await submit('model=shapes&tile=188', key)).status).toBe(409);
    await ended(first.id);
  });

  it('lists its jobs by state, page by page, newest first', async () => {
    for (let i = 0; i < 5; i++) await ended((await view(await submit())).id);
    const list = async (query: string) =>
      (await (await fetch(at(`/v1/jobs?${query}`))).json()) as {
        jobs: JobView[];
        next: string | null;
        total: number;
      };
    const all = await list('state=succeeded&limit=500');
    const times = all.jobs.map(({ createdAt }) => createdAt);
    expect(times).toEqual([...times].sort().reverse());
    const pages: string[] = [];
    for (let after: string | null = ''; after !== null; ) {
      const page = await list(`state=succeeded&limit=2${after && `&after=${after}`}`);
      expect(page.jobs.length).toBeLessThanOrEqual(2);
      pages.push(...page.jobs.map(({ id }) => id));
      after = page.next;
    }
    expect(pages).toEqual(all.jobs.map(({ id }) => id));
    expect((await fetch(at('/v1/jobs?state=dormant'))).status).toBe(400);
    expect((await fetch(at('/v1/jobs/none'))).status).toBe(404);
  });

  it('follows a job by its events, and gets missed ones after reconnecting', async () => {
    const release = server.worker.block();
    const { id } = await view(await submit('model=em-membrane&tile=188'));
    const read = async (headers: Record<string, string>) => {
      const response = await fetch(at(`/v1/jobs/${id}/events`), { headers });
      release(); // once its events are subscribed to
      if (response.status === 204) return null;
      const events = (await response.text()).split('\n\n').filter((text) => text.startsWith('id:'));
      return events.map((text) => {
        const [, number, type, json] = /^id: (\d+)\nevent: (\w+)\ndata: (.*)$/.exec(text)!;
        return { id: Number(number), type, data: JSON.parse(json!) };
      });
    };
    const events = (await read({}))!;
    const states = events.filter(({ type }) => type === 'state').map(({ data: job }) => job.state);
    expect(states.at(-1)).toBe('succeeded');
    const progress = events
      .filter(({ type }) => type === 'progress')
      .map(({ data: live }) => live.progress.tilesDone);
    expect(progress.length).toBeGreaterThan(1);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    const missed = (await read({ 'last-event-id': String(events.at(-3)!.id) }))!;
    expect(missed).toEqual(events.slice(-2));
    expect(await read({ 'last-event-id': String(events.at(-1)!.id) })).toBeNull();
  });

  it('that prefers an asynchronous response, or sends a large image, gets a job', async () => {
    const post = (headers: Record<string, string>, query = '') =>
      fetch(at(`/v1/segment?model=shapes${query}`), { method: 'POST', body: new Uint8Array(slide), headers });
    const preferred = await post({ prefer: 'respond-async' });
    expect([preferred.status, preferred.headers.get('preference-applied')]).toEqual([202, 'respond-async']);
    const job = await ended((await view(preferred)).id);
    expect(job.results.map(({ format }) => format)).toEqual(['tiff', 'png']);
    expect((await post({})).status).toBe(200);
    const small = await fakeServer(join(folder, 'sync'), { syncPixels: 900 * 700 - 1 });
    const large = await fetch(`${small.url}/v1/segment?model=shapes`, {
      method: 'POST',
      body: new Uint8Array(slide),
    });
    expect(large.status).toBe(202);
    await small.close();
  });
});
