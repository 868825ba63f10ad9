import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULTS } from '../../../server/config.js';
import { LIMITS, type LimitName } from '../../../server/contract/limits.js';
import { problemOf } from '../../../server/contract/problems.js';
import { limitsSchema } from '../../../server/contract/schemas/limits.js';
import type { OwnerLimits, ServeOptions } from '../../../server/serve-options.js';
import { type FakeServer, fakeImage, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { type RawAnswer, rawRequest, rawSocket } from '../../support/raw.js';
import { bearer, makeToken } from '../../support/tokens.js';

const folder = await testFolder();
let data: string;
let tests = 0;
let server: FakeServer;
beforeEach(() => {
  data = join(folder, String(tests++));
});
afterEach(() => server?.close());

const start = async (options: Partial<ServeOptions> = {}) => {
  server = await fakeServer(data, options);
};
const owned = (owners: Partial<OwnerLimits>): Partial<ServeOptions> => ({
  owners: { ...DEFAULTS.owners, ...owners },
});
type Headers = Record<string, string>;
const send = (method: string, path: string, headers: Headers = {}, body: string | Uint8Array = '') =>
  rawRequest(`${server.url}${path}`, method, headers, body);

/** 900 × 700 px, in 1,000 bytes. */
const IMAGE = Buffer.concat([fakeImage(900, 700), Buffer.alloc(976)]);
const submit = (query = '', headers: Headers = {}, body: Uint8Array = IMAGE) =>
  send('POST', `/v1/jobs?model=shapes${query}`, headers, body);
const createUpload = (bytes: number, headers: Headers = {}) =>
  send('POST', '/v1/uploads', { 'tus-resumable': '1.0.0', 'upload-length': String(bytes), ...headers });
const idOf = ({ body }: RawAnswer) => (JSON.parse(body) as { id: string }).id;
/** Cancels a job, or removes one that has ended. */
const remove = (job: RawAnswer) => send('DELETE', `/v1/jobs/${idOf(job)}`);
const statuses = (answers: readonly RawAnswer[]) => answers.map(({ status }) => status);

/** The first refusal of requests that are sent one after the other; at least one is accepted before. */
async function firstRefusal(request: (i: number) => Promise<RawAnswer>, most = 10): Promise<RawAnswer> {
  for (let i = 0; i < most; i++) {
    const answer = await request(i);
    if (answer.status < 400) continue;
    expect(i, answer.body).toBeGreaterThan(0);
    return answer;
  }
  throw new Error(`none of ${most} requests was refused`);
}

const tokenOf = async (name: string) => bearer(await makeToken(data, name));

/** Uploads that an earlier server has stored. */
async function storeUploads(count: number, ownerOf: (i: number) => string): Promise<void> {
  const uploads = join(data, 'uploads');
  await mkdir(uploads, { recursive: true });
  for (let i = 0; i < count; i++) {
    const id = i.toString(16).padStart(32, '0');
    await writeFile(join(uploads, id), '');
    await writeFile(join(uploads, `${id}.json`), JSON.stringify({ id, size: 0, owner: ownerOf(i) }));
  }
}

const blocked = async (options: Partial<ServeOptions>) => {
  await start(options);
  server.worker.block();
};

/** Exceeds a limit, and returns the response; or names the test that does, as `FILE: TITLE`. */
const CASES: Record<LimitName, (() => Promise<RawAnswer>) | string> = {
  body: async () => {
    await start({ maxBodyBytes: 1000 });
    return firstRefusal((i) => submit('', {}, Buffer.concat([IMAGE, Buffer.alloc(i)])));
  },
  json: async () => {
    await start();
    return submit('', { 'content-type': 'application/json' }, Buffer.alloc(65_537, ' '));
  },
  tensorJson: async () => {
    await start();
    return send('POST', '/v2/models/shapes/infer', {}, Buffer.alloc(4_194_305, ' '));
  },
  url: async () => {
    await start();
    return send('GET', `/v1/models/${'x'.repeat(4000)}`);
  },
  parameters: async () => {
    await start();
    return submit(Array.from({ length: 64 }, (_, i) => `&p${i}=1`).join(''));
  },
  parameter: async () => {
    await start();
    return submit(`&page=${'1'.repeat(3001)}`);
  },
  pixels: 'tiling/sources/open.test.ts: more pixels than the limit',
  planes: 'tiling/planes.test.ts: are at most those of one job',
  zarrFiles:
    'server/pipeline/stack.test.ts: has a limit of files as OME-Zarr, which is checked before it is computed',
  unpacked:
    'tiling/sources/picture-safety.test.ts: a TIFF of YCbCr in one strip, which libvips reads, has the same limit',
  header: async () => {
    await start();
    return send('GET', '/v1/models', { 'upload-metadata': 'x'.repeat(4001) });
  },
  bodyRate: async () => {
    await start({ idleTimeoutMs: 100, minRate: 1000 });
    const head = `POST /v1/segment?model=shapes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n`;
    const [, status, body] = /^HTTP\/1.1 (\d+)[\s\S]*?\r\n\r\n([\s\S]*)/.exec(
      await rawSocket(server.url, head).answer,
    )!;
    return { status: Number(status), headers: {}, body: body! };
  },
  bodyTime: 'server/http/body-watch.test.ts: a body that takes too long is aborted, whatever its rate',
  headerTime: 'server/http/connections.test.ts: headers that never arrive',

  tokenRate: async () => {
    await start(owned({ rate: 0.5, burst: 2 }));
    return firstRefusal(() => send('GET', '/v1/models'));
  },
  tokenBurst: async () => {
    await start(owned({ rate: 1 }));
    return firstRefusal(() => send('GET', '/v1/models'));
  },
  tokenJobs: async () => {
    await blocked(owned({ jobs: 2 }));
    return firstRefusal(() => submit());
  },
  tokenUploads: async () => {
    await start(owned({ jobs: 2 }));
    const ann = await tokenOf('ann');
    const head = `POST /v1/segment?model=shapes HTTP/1.1\r\nhost: localhost\r\nauthorization: ${ann.authorization}\r\ncontent-length: 1000\r\n\r\na`;
    const slow = [1, 2].map(() => rawSocket(server.url, head));
    const bob = await tokenOf('bob');
    await expect.poll(async () => (await submit('', ann)).status).toBe(429);
    expect((await submit('', bob)).status).toBe(202);
    const refused = await submit('', ann);
    for (const { socket } of slow) socket.destroy();
    return refused;
  },
  tokenStored: async () => {
    const ann = await tokenOf('ann');
    await storeUploads(249, () => `token:${ann.authorization.split('_')[1]}`);
    await start();
    expect((await createUpload(0, await tokenOf('bob'))).status).toBe(201);
    return firstRefusal(() => createUpload(0, ann));
  },
  tokenPixels: async () => {
    await blocked({ ...owned({ pixels: 2 * 900 * 700 }), maxPixels: 900 * 700 });
    return firstRefusal(() => submit());
  },
  tokenBytes: async () => {
    await start({ ...owned({ bytes: 5000 }), maxBodyBytes: 1000 });
    return firstRefusal(() => createUpload(1000));
  },

  jobs: async () => {
    await blocked({ queueLimit: 2 });
    return firstRefusal(() => send('POST', '/v1/jobs?model=shapes&priority=interactive', {}, IMAGE));
  },
  normalJobs: async () => {
    await blocked({ queueNormal: 2 });
    return firstRefusal((i) => submit(i === 0 ? '&priority=bulk' : ''));
  },
  bulkJobs: async () => {
    await blocked({ queueBulk: 2 });
    return firstRefusal(() => submit('&priority=bulk'));
  },
  uploads: 'server/http/uploads.test.ts: are shared by all uploads, resumable ones included',
  storedUploads: async () => {
    await storeUploads(999, (i) => `token:${i % 5}`);
    await start();
    return firstRefusal(() => createUpload(0));
  },
  pendingHeaders: 'server/readers/readers.test.ts: is waited for by a bounded number of calls',
  pendingTiles: 'server/readers/viewer.test.ts: wait in a bounded queue',
  pendingResults: 'server/readers/readers.test.ts: is waited for by a bounded number of calls',
  disk: async () => {
    await start({ quotaBytes: 5000, maxBodyBytes: 1000 });
    return firstRefusal(() => createUpload(1000));
  },
  diskLow: async () => {
    await start({ quotaBytes: 4000, quotaLowBytes: 2500, maxBodyBytes: 1000 });
    const uploads = [1, 2, 3, 4].map(() => createUpload(1000));
    const all = await Promise.all(uploads);
    expect(statuses(all)).toEqual([201, 201, 201, 201]);
    expect((await createUpload(1)).status).toBe(507);
    await send('DELETE', all[0]!.headers.location!, { 'tus-resumable': '1.0.0' });
    return createUpload(1);
  },
  minFree:
    'server/http/uploads.test.ts: is reserved for all uploads together, and released with deleted ones',
};

describe('what exceeds a limit', () => {
  it.each(Object.entries(CASES) as [LimitName, (typeof CASES)[LimitName]][])('%s', async (name, exceed) => {
    if (typeof exceed === 'string') {
      const [file, title] = exceed.split(': ') as [string, string];
      const text = await readFile(join('test', file), 'utf8');
      expect(text.includes(`'${title}'`), exceed).toBe(true);
      return;
    }
    const { status, headers, body } = await exceed();
    const { code } = LIMITS[name];
    const problem = JSON.parse(body) as { readonly type: string; readonly detail: string };
    expect([status, problem.type]).toEqual([problemOf(code).status, `urn:unseam:problem:${code}`]);
    expect(problem.detail.length).toBeGreaterThan(10);
    const canWait = [429, 503, 507].includes(status) && code !== 'quota-exceeded';
    expect(/^[1-9]\d*$/.test(headers['retry-after'] ?? '')).toBe(canWait);
    expect('ratelimit' in headers).toBe(code === 'rate-limited');
  });
});

describe('limits of tokens', () => {
  const tokens = async (): Promise<[Headers, Headers]> => [
    bearer(await makeToken(data, 'ann')),
    bearer(await makeToken(data, 'bob')),
  ];

  it('are those of each token', async () => {
    await start({ ...owned({ jobs: 1, bytes: 1e7 }), maxBodyBytes: 1e7 });
    const [ann, bob] = await tokens();
    server.worker.block();
    expect(statuses([await submit('', ann), await submit('', ann), await submit('', bob)])).toEqual([
      202, 429, 202,
    ]);
  });

  it('limit requests by a rate, and say what is left of it', async () => {
    await start(owned({ rate: 0.5, burst: 3 }));
    const [ann, bob] = await tokens();
    const list = (headers: Headers) => send('GET', '/v1/jobs', headers);
    const rateOf = ({ headers }: RawAnswer) => [headers['ratelimit-policy'], headers.ratelimit];
    expect(rateOf(await list(ann))).toEqual(['"token";q=3;w=6', '"token";r=2;t=2']);
    await list(ann);
    await list(ann);
    const refused = await list(ann);
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, '2']);
    expect((await list(bob)).status).toBe(200);
    for (const path of ['/livez', '/readyz', '/']) expect((await send('GET', path)).status).toBe(200);
  });

  it('are freed by jobs that end, and bytes by jobs that are removed', async () => {
    await start({
      ...owned({ jobs: 1, pixels: 900 * 700, bytes: 3e6 }),
      maxBodyBytes: 1e6,
      maxPixels: 900 * 700,
    });
    const used = async () => {
      const { limits } = limitsSchema.parse(JSON.parse((await send('GET', '/v1/limits')).body));
      const names: LimitName[] = ['tokenJobs', 'tokenPixels', 'tokenBytes'];
      return names.map((name) => limits.find((limit) => limit.name === name)!.used!);
    };
    expect(await used()).toEqual([0, 0, 0]);
    const release = server.worker.block();
    const job = await submit();
    expect(await used()).toEqual([1, 630_000, 1000]);
    release();
    await expect.poll(async () => (await used())[0]).toBe(0);
    const [, pixels, bytes] = await used();
    expect(pixels).toBe(0);
    expect(bytes).toBeGreaterThan(2000); // the image, the mask and the record
    expect(bytes).toBeLessThan(5000);
    await remove(job);
    expect(await used()).toEqual([0, 0, 0]);
  });

  it('count what earlier servers left', async () => {
    await start();
    const { headers } = await createUpload(5000);
    const job = await submit();
    await expect.poll(async () => (await send('GET', `/v1/jobs/${idOf(job)}`)).body).toContain('succeeded');
    await server.close();
    await start({ ...owned({ bytes: 9000 }), maxBodyBytes: 9000 });
    expect((await createUpload(3000)).status).toBe(507);
    await send('DELETE', headers.location!, { 'tus-resumable': '1.0.0' });
    expect((await createUpload(3000)).status).toBe(201);
  });

  it('leave a resumable upload where its job is refused', async () => {
    await start({ ...owned({ pixels: 100 }), maxPixels: 100 });
    const { location } = (await createUpload(IMAGE.length)).headers;
    const patch = {
      'tus-resumable': '1.0.0',
      'upload-offset': '0',
      'content-type': 'application/offset+octet-stream',
    };
    expect((await send('PATCH', location!, patch, IMAGE)).status).toBe(204);
    const json = JSON.stringify({ source: { upload: location }, model: 'shapes' });
    const create = () => send('POST', '/v1/jobs', { 'content-type': 'application/json' }, json);
    expect((await create()).status).toBe(429);
    expect((await create()).body).toContain('too-many-pixels');
  });
});

describe('the bytes of a token', () => {
  const TUS = { 'tus-resumable': '1.0.0' };
  const PATCH = { ...TUS, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' };
  const usedBytes = async (headers: Headers = {}) => {
    const { limits } = limitsSchema.parse(JSON.parse((await send('GET', '/v1/limits', headers)).body));
    return limits.find(({ name }) => name === 'tokenBytes')!.used!;
  };
  const upload = async (bytes: Uint8Array) => {
    const { location } = (await createUpload(bytes.length)).headers;
    await send('PATCH', location!, PATCH, bytes);
    return location!;
  };
  const jobOf = (address: string) =>
    send(
      'POST',
      '/v1/jobs',
      { 'content-type': 'application/json' },
      JSON.stringify({ source: { upload: address }, model: 'shapes' }),
    );
  const ended = (job: RawAnswer) =>
    expect.poll(async () => (await send('GET', `/v1/jobs/${idOf(job)}`)).body).toContain('succeeded');

  it('are those of an upload, while its job waits and runs', async () => {
    await start();
    const release = server.worker.block();
    const address = await upload(IMAGE);
    expect(await usedBytes()).toBe(1000);
    const job = await jobOf(address);
    expect(await usedBytes()).toBe(1000);
    release();
    await ended(job);
    await remove(job);
    expect(await usedBytes()).toBe(0);
  });

  it('are those of results that an earlier job computed', async () => {
    await start({ reusesResults: true });
    const first = await submit();
    await ended(first);
    const once = await usedBytes();
    const again = [await submit(), await jobOf(await upload(IMAGE))];
    for (const job of again) expect(job.headers['cache-status']).toBe('unseam; hit');
    expect(await usedBytes()).toBeGreaterThan(2.9 * once);
    expect(await usedBytes()).toBeLessThan(3.1 * once);
    await server.close();
    await start({ reusesResults: true, ...owned({ bytes: 2 * once }), maxBodyBytes: once });
    const refused = await submit();
    expect([refused.status, refused.headers['retry-after']]).toEqual([507, undefined]);
  });

  it('are what a job is expected to take, also after a restart', async () => {
    await start();
    server.worker.diskBytes = 50_000;
    server.worker.block();
    await submit();
    expect(await usedBytes()).toBe(51_000);
    await server.close();
    await start();
    server.worker.block();
    expect(await usedBytes()).toBeGreaterThan(50_000);
  });

  it('are those of an upload whose length was not known, also after a restart', async () => {
    await start();
    const { location } = (await send('POST', '/v1/uploads', { ...TUS, 'upload-defer-length': '1' })).headers;
    await server.close();
    await start({ ...owned({ bytes: 1e6 }), maxBodyBytes: 1e6 });
    const patch = (offset: number, bytes: number) =>
      send('PATCH', location!, { ...PATCH, 'upload-offset': String(offset) }, Buffer.alloc(bytes));
    await createUpload(60_000);
    expect((await patch(0, 900_000)).status).toBe(204);
    expect(await usedBytes()).toBe(960_000);
    const refused = await patch(900_000, 50_000);
    expect([refused.status, refused.body]).toEqual([507, expect.stringContaining('quota-exceeded')]);
  });
});

describe('a request that turns out to be no interactive one', () => {
  it('needs a place of its priority', async () => {
    await blocked({ queueLimit: 8, queueNormal: 2, syncPixels: 0 });
    const segment = () => send('POST', '/v1/segment?model=shapes', {}, IMAGE);
    expect(statuses([await segment(), await segment(), await segment()])).toEqual([202, 202, 429]);
    expect((await send('POST', '/v1/jobs?model=shapes&priority=interactive', {}, IMAGE)).status).toBe(202);
  });
});

describe('GET /v1/limits', () => {
  const list = async (headers: Headers = {}) =>
    limitsSchema.parse(JSON.parse((await send('GET', '/v1/limits', headers)).body)).limits;

  it('lists every limit with its error', async () => {
    await start({ queueLimit: 8 });
    const limits = await list();
    expect(limits.map(({ name }) => name)).toEqual(Object.keys(LIMITS));
    expect(limits.find(({ name }) => name === 'jobs')).toEqual({
      name: 'jobs',
      ...LIMITS.jobs,
      value: 8,
      used: 0,
      status: 429,
    });
  });

  it('tells nobody but admins what others use', async () => {
    await start();
    const [ann, admin] = [await makeToken(data, 'ann'), await makeToken(data, 'root', ['admin'])].map(bearer);
    await createUpload(1000, ann);
    const used = async (headers: Headers) =>
      Object.fromEntries((await list(headers)).map(({ name, used }) => [name, used]));
    expect(await used(ann!)).toMatchObject({ tokenBytes: 1000, disk: null, jobs: null });
    expect(await used(admin!)).toMatchObject({ tokenBytes: 0, disk: 1000, jobs: 0 });
  });
});

it('the documentation has every limit', async () => {
  const page = await readFile(fileURLToPath(new URL('../../../../docs/limits.md', import.meta.url)), 'utf8');
  const rows = [...page.matchAll(/^\| `(\w+)` \| (.+) \|$/gm)].map(([, name, rest]) => {
    const [what, per, , setting, code, status] = rest!.split(' | ');
    return [name, what, per, setting, code, status];
  });
  const quoted = (text: string | null) => (text === null ? '' : `\`${text}\``);
  expect(rows).toEqual(
    Object.entries(LIMITS).map(([name, { what, per, setting, code }]) => [
      name,
      what,
      per,
      quoted(setting),
      quoted(code),
      String(problemOf(code).status),
    ]),
  );
});
