import { appendFile, mkdir, readFile, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import { FAKE_RESULT, type FakeServer, fakeImage, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { settledJob } from '../../support/jobs.js';
import { rawRequest } from '../../support/raw.js';

const folder = await testFolder();
const [data, slides] = [join(folder, 'data'), join(folder, 'slides')];
const CACHES = { reusesResults: true, responseCacheBytes: 100_000 } as const;
let server: FakeServer;
const start = () => fakeServer(data, { ...CACHES, slides, syncPixels: 1000 });
beforeAll(async () => {
  await mkdir(slides);
  server = await start();
});
afterAll(() => server?.close());

/** Another image in each test: its bytes after the header do not matter to the fake worker. */
let image: Buffer;
let tests = 0;
const bigImage = () => Buffer.concat([fakeImage(900, 700), Buffer.from(`slide ${tests}`)]);
beforeEach(() => {
  tests++;
  image = bigImage();
});

const at = (path: string) => `${server.url}${path}`;
const post = (path: string, body: Uint8Array, headers: Record<string, string> = {}) =>
  fetch(at(path), { method: 'POST', body: new Uint8Array(body), headers });
const submit = (query = 'model=shapes', headers: Record<string, string> = {}, body = image) =>
  post(`/v1/jobs?${query}`, body, headers);
const submitJson = (body: unknown) =>
  post('/v1/jobs', Buffer.from(JSON.stringify(body)), { 'content-type': 'application/json' });

/** The job of a response, once it has ended, and what became of it in the cache. */
async function outcome(response: Response) {
  expect(response.status).toBe(202);
  const { id, state } = (await response.json()) as JobView;
  const job = await settledJob(server.url, id);
  expect(job.state).toBe('succeeded');
  return { id, status: response.headers.get('cache-status'), atOnce: state === 'succeeded', job };
}
const run = async (...args: Parameters<typeof submit>) => outcome(await submit(...args));

const folderOf = (id: string) => join(data, 'jobs', id);
const resultOf = async (id: string, output = 'labels') => {
  const response = await fetch(at(`/v1/jobs/${id}/result?output=${output}`));
  return response.status === 200 ? Buffer.from(await response.arrayBuffer()) : response.status;
};
const metric = async (name: string) => {
  const text = await (await fetch(at('/metrics'))).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name}{cache="results"}`));
  return Number(line?.slice(line.lastIndexOf(' ')) ?? 0);
};
const [HIT, MISS, REQUEST, BYPASS] = [
  'unseam; hit',
  'unseam; fwd=miss',
  'unseam; fwd=request',
  'unseam; fwd=bypass',
];

describe('the same slide, model and options again', () => {
  it('have the earlier results at once', async () => {
    const runs = server.worker.runs;
    const first = await run();
    expect([first.status, first.job.cachedFrom, first.job.receipt!.cached]).toEqual([MISS, null, null]);
    const second = await run();
    expect([second.status, second.atOnce, second.job.cachedFrom]).toEqual([HIT, true, first.id]);
    expect(second.job.receipt!.cached).toEqual({ computedAt: first.job.finishedAt });
    expect(second.job.source).toEqual(first.job.source);
    expect(await resultOf(second.id)).toEqual(FAKE_RESULT);
    const third = await run();
    expect([third.status, third.job.cachedFrom]).toEqual([HIT, first.id]);
    expect(third.job.receipt!.cached).toEqual({ computedAt: first.job.finishedAt });
    expect(server.worker.runs - runs).toBe(1);
  });

  it('are a job of their own, with the priority and the key of its request', async () => {
    await run();
    const { id, job } = await run('model=shapes&priority=bulk', { 'idempotency-key': `key ${tests}` });
    expect([job.priority, job.results.length]).toEqual(['bulk', 1]);
    const again = await submit('model=shapes&priority=bulk', { 'idempotency-key': `key ${tests}` });
    expect(((await again.json()) as JobView).id).toBe(id);
    const events = await (await fetch(at(`/v1/jobs/${id}/events`))).text();
    expect(events).toMatch(/"state":"succeeded"/);
  });

  it('are found whether the image is a body, a form or a resumable upload', async () => {
    await run();
    const form = new FormData();
    form.set('image', new Blob([new Uint8Array(image)]), 'renamed.png');
    const sent = await outcome(await fetch(at('/v1/jobs?model=shapes'), { method: 'POST', body: form }));
    expect([sent.status, sent.job.source]).toEqual([
      HIT,
      expect.objectContaining({ name: 'renamed.png', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }),
    ]);
    const upload = await resumable(2);
    expect((await outcome(await submitJson({ source: { upload }, model: 'shapes' }))).status).toBe(HIT);
  });

  it('are counted', async () => {
    const [hits, misses] = [
      await metric('unseam_cache_hits_total'),
      await metric('unseam_cache_misses_total'),
    ];
    for (let i = 0; i < 3; i++) await run();
    await run('model=shapes', { 'cache-control': 'no-cache' });
    expect(await metric('unseam_cache_hits_total')).toBe(hits + 2);
    expect(await metric('unseam_cache_misses_total')).toBe(misses + 1);
  });
});

describe('anything else is computed', () => {
  it.each([
    ['another model', 'model=shapes-notebook'],
    ['another result', 'model=shapes&output=geojson'],
    ['another format', 'model=shapes&output=labels:png'],
    ['another tile', 'model=shapes&tile=188'],
    ['another page', 'model=shapes&page=1'],
    ['another pixel size', 'model=shapes&mpp=0.5'],
    ['another threshold', 'model=shapes&threshold=0.4'],
    ['test-time augmentation', 'model=shapes&tta=1'],
    ['another tolerance', 'model=shapes&simplify=1'],
  ])('%s', async (_name, query) => {
    await run();
    expect((await run(query)).status).toBe(MISS);
  });

  it('another slide, if only in its last byte', async () => {
    await run();
    const other = Buffer.from(image);
    other[other.length - 1]! ^= 128;
    expect((await run('model=shapes', {}, other)).status).toBe(MISS);
  });

  it('a slide on a device that would not compute the same again', async () => {
    server.worker.repeatable = false;
    const { job } = await run().finally(() => (server.worker.repeatable = true));
    expect(job.receipt).toMatchObject({ repeatable: false });
    expect((await run()).status).toBe(MISS);
    server.worker.repeatable = false;
    await post('/v1/segment?model=shapes', fakeImage(9, tests)).finally(
      () => (server.worker.repeatable = true),
    );
    const again = await post('/v1/segment?model=shapes', fakeImage(9, tests));
    expect(again.headers.get('cache-status')).toBe(MISS);
  });

  it('a slide whose job has not succeeded', async () => {
    const release = server.worker.block();
    const { id } = (await (await submit()).json()) as JobView;
    const second = await submit();
    expect(second.headers.get('cache-status')).toBe(MISS);
    await fetch(at(`/v1/jobs/${id}`), { method: 'DELETE' });
    release();
    await outcome(second);
  });

  it('what its request demands by Cache-Control: no-cache; later requests have those results', async () => {
    const first = await run();
    const second = await run('model=shapes', { 'cache-control': 'max-age=0, No-Cache' });
    expect([second.status, second.job.cachedFrom]).toEqual([REQUEST, null]);
    expect(second.id).not.toBe(first.id);
    expect((await run()).job.cachedFrom).toBe(second.id);
  });

  it('what was requested with Cache-Control: no-store', async () => {
    await run('model=shapes', { 'cache-control': 'no-store' });
    expect((await run()).status).toBe(MISS);
  });

  it('an image of several files, of which only the one that was named is known', async () => {
    server.worker.isOneFile = false;
    const named = () => submitJson({ source: { path: 'slide.mrxs' }, model: 'shapes' }).then(outcome);
    await writeFile(join(slides, 'slide.mrxs'), image);
    try {
      await named();
    } finally {
      server.worker.isOneFile = true;
    }
    expect((await named()).status).toBe(MISS);
  });

  it('everything, by a server that reuses no results', async () => {
    const own = await fakeServer(join(folder, 'off'));
    for (let i = 0; i < 2; i++) {
      const body = new Uint8Array(image);
      const sent = await fetch(`${own.url}/v1/jobs?model=shapes`, { method: 'POST', body });
      expect(sent.headers.get('cache-status')).toBe(BYPASS);
      await settledJob(own.url, ((await sent.json()) as JobView).id);
    }
    await own.close();
  });
});

describe('the files of a later job', () => {
  it('are those of the earlier one, without a copy, and outlive it', async () => {
    const first = await run();
    const second = await run();
    for (const name of ['labels.tif', 'upload']) {
      const [a, b] = await Promise.all([first, second].map(({ id }) => stat(join(folderOf(id), name))));
      expect([name, a!.ino, b!.nlink]).toEqual([name, b!.ino, 2]);
    }
    expect((await fetch(at(`/v1/jobs/${first.id}`), { method: 'DELETE' })).status).toBe(204);
    expect(await resultOf(second.id)).toEqual(FAKE_RESULT);
    expect((await readFile(join(folderOf(second.id), 'upload'))).equals(image)).toBe(true);
    expect((await run()).job.cachedFrom).toBe(first.id);
  });

  it('are still there after a restart, and its results are found', async () => {
    const first = await run();
    const second = await run();
    await server.close();
    server = await start();
    expect((await fetch(at(`/v1/jobs/${first.id}`), { method: 'DELETE' })).status).toBe(204);
    expect(await resultOf(second.id)).toEqual(FAKE_RESULT);
    const third = await run();
    expect([third.status, third.job.cachedFrom, third.atOnce]).toEqual([HIT, first.id, true]);
  });

  it.each<[string, (path: string) => Promise<void>]>([
    ['removed', (path) => rm(path)],
    ['cut short', (path) => truncate(path, 10)],
    ['longer', (path) => appendFile(path, 'x')],
    [
      'overwritten',
      async (path) => {
        await writeFile(path, Buffer.alloc(FAKE_RESULT.length));
        await utimes(path, 1, 1);
      },
    ],
    [
      'a folder',
      async (path) => {
        await rm(path);
        await mkdir(path);
      },
    ],
  ])('are computed if one of the earlier ones is %s', async (_name, damage) => {
    const first = await run('model=shapes&output=geojson');
    await damage(join(folderOf(first.id), 'geojson.geojson'));
    const second = await run('model=shapes&output=geojson');
    expect([second.status, second.job.cachedFrom]).toEqual([MISS, null]);
    expect(await resultOf(second.id, 'geojson')).toEqual(FAKE_RESULT);
    const third = await run('model=shapes&output=geojson');
    expect([third.status, third.job.cachedFrom]).toEqual([HIT, second.id]);
  });

  it('include its own upload if the earlier one was damaged', async () => {
    const first = await run();
    await writeFile(join(folderOf(first.id), 'upload'), 'other bytes');
    const second = await run();
    expect(second.status).toBe(HIT);
    expect((await readFile(join(folderOf(second.id), 'upload'))).equals(image)).toBe(true);
  });

  it('are gone with the last job that has them', async () => {
    const { id } = await run();
    await fetch(at(`/v1/jobs/${id}`), { method: 'DELETE' });
    expect((await run()).status).toBe(MISS);
  });
});

describe('a slide that is named by its path', () => {
  const named = async () => {
    const response = await submitJson({ source: { path: `${tests}.png` }, model: 'shapes' });
    return outcome(response);
  };
  const path = () => join(slides, `${tests}.png`);

  it('is known until somebody writes to it', async () => {
    await writeFile(path(), image);
    expect([(await named()).status, (await named()).status]).toEqual([MISS, HIT]);
    await writeFile(path(), image);
    expect((await named()).status).toBe(MISS);
  });

  it('is known by more than its time and size', async () => {
    await writeFile(path(), image);
    const { atime, mtime } = await stat(path());
    await named();
    const other = Buffer.from(image);
    other[other.length - 1]! ^= 128;
    await writeFile(`${path()}.new`, other);
    await utimes(`${path()}.new`, atime, mtime);
    await rename(`${path()}.new`, path());
    expect((await named()).status).toBe(MISS);
  });

  it('has results that nobody finds if it was changed while it was segmented', async () => {
    await writeFile(path(), image);
    const release = server.worker.block();
    const response = await submitJson({ source: { path: `${tests}.png` }, model: 'shapes' });
    for (const content of [Buffer.concat([image, Buffer.from('more')]), image]) {
      // renamed, so that whoever opens it sees a whole image
      await writeFile(`${path()}.new`, content);
      await rename(`${path()}.new`, path());
    }
    release();
    await outcome(response);
    expect((await named()).status).toBe(MISS);
  });
});

describe('a resumable upload', () => {
  it('that a server received only a part of is computed', async () => {
    await run();
    const { location } = (await tus('POST', '/v1/uploads', { 'upload-length': String(image.length) }))
      .headers;
    await patch(location!, 0, image.subarray(0, 10));
    await server.close();
    server = await start();
    await patch(location!, 10, image.subarray(10));
    const sent = await outcome(await submitJson({ source: { upload: location }, model: 'shapes' }));
    expect(sent.status).toBe(BYPASS);
  });
});

describe('POST /v1/segment', () => {
  const small = () => Buffer.concat([fakeImage(30, 20), Buffer.from(`image ${tests}`)]);
  const segment = async (query = '', headers: Record<string, string> = {}, body = small()) => {
    const response = await post(`/v1/segment?model=shapes&${query}`, body, {
      accept: 'image/png',
      ...headers,
    });
    expect(response.status).toBe(200);
    const { headers: got } = response;
    return {
      status: got.get('cache-status'),
      receipt: JSON.parse(got.get('unseam-receipt')!) as { cached: unknown; model: unknown },
      timing: got.get('server-timing'),
      bytes: Buffer.from(await response.arrayBuffer()),
    };
  };

  it('repeats its response to the same image, and says so', async () => {
    const runs = server.worker.runs;
    const [first, second] = [await segment(), await segment()];
    expect([first.status, second.status]).toEqual([MISS, HIT]);
    expect(server.worker.runs - runs).toBe(1);
    expect(second.bytes).toEqual(first.bytes);
    expect(first.receipt.cached).toBeNull();
    expect(second.receipt).toEqual({ ...first.receipt, cached: { computedAt: expect.any(String) } });
    expect([first.timing, second.timing]).toEqual([
      expect.stringMatching(/infer/),
      expect.not.stringMatching(/infer/),
    ]);
    expect(await metric('unseam_cache_bytes')).toBeGreaterThan(FAKE_RESULT.length);
  });

  it('computes other options, and what demands to be', async () => {
    await segment();
    expect((await segment('tile=188')).status).toBe(MISS);
    expect((await segment('output=overlay')).status).toBe(MISS);
    expect((await segment('', { accept: 'image/tiff' })).status).toBe(MISS);
    expect((await segment('', { 'cache-control': 'no-cache' })).status).toBe(REQUEST);
  });

  it('holds its responses in bounded memory, and leaves no job behind', async () => {
    const before = await (await fetch(at('/v1/jobs'))).json();
    for (let i = 0; i < 100; i++) {
      await segment('', {}, Buffer.concat([small(), Buffer.from(`${i}`)]));
      expect(await metric('unseam_cache_bytes')).toBeLessThanOrEqual(CACHES.responseCacheBytes);
    }
    expect((await segment('', {}, Buffer.concat([small(), Buffer.from('99')]))).status).toBe(HIT);
    expect((await segment('', {}, Buffer.concat([small(), Buffer.from('0')]))).status).toBe(MISS);
    expect(await (await fetch(at('/v1/jobs'))).json()).toEqual(before);
  });

  it('responds to a larger image with a job, which has the results of an earlier one', async () => {
    const send = async () => outcome(await post('/v1/segment?model=shapes', image));
    const [first, second] = [await send(), await send()];
    expect([first.status, second.status, second.atOnce]).toEqual([MISS, HIT, true]);
    expect(second.job.cachedFrom).toBe(first.id);
    const preferring = { prefer: 'respond-async' };
    await post('/v1/segment?model=shapes', small(), preferring).then(outcome);
    expect((await post('/v1/segment?model=shapes', small(), preferring).then(outcome)).status).toBe(HIT);
    expect((await segment()).status).toBe(MISS);
  });
});

const tus = (method: string, path: string, headers: Record<string, string>, body: Uint8Array = Buffer.of()) =>
  rawRequest(at(path), method, { 'tus-resumable': '1.0.0', ...headers }, body);
const patch = (path: string, offset: number, body: Uint8Array) =>
  tus(
    'PATCH',
    path,
    { 'content-type': 'application/offset+octet-stream', 'upload-offset': String(offset) },
    body,
  );

/** Uploads the image in parts; returns the upload's address. */
async function resumable(parts: number): Promise<string> {
  const { location } = (await tus('POST', '/v1/uploads', { 'upload-length': String(image.length) })).headers;
  const bytes = Math.ceil(image.length / parts);
  for (let from = 0; from < image.length; from += bytes)
    await patch(location!, from, image.subarray(from, from + bytes));
  return location!;
}
