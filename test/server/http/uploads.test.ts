import { mkdir, readdir, rename, stat, statfs, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Transfers } from '../../../server/http/transfers.js';
import { Uploads } from '../../../server/http/uploads.js';
import { DiskAccount, NO_LIMITS } from '../../../server/storage/disk-account.js';
import { type FakeServer, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { rawRequest, rawSocket } from '../../support/raw.js';

const folder = await testFolder();
const data = join(folder, 'data');
const PLACES = 4;
let server: FakeServer;
beforeAll(async () => {
  server = await fakeServer(data, { queueLimit: PLACES, idleTimeoutMs: 1000, maxBodyBytes: 1e15 });
});
afterAll(() => server?.close());

const tus = { 'tus-resumable': '1.0.0' };
const send = (method: string, path: string, headers: Record<string, string> = {}, body = '') =>
  rawRequest(`${server.url}${path}`, method, headers, body);
const create = (bytes: number) => send('POST', '/v1/uploads', { ...tus, 'upload-length': String(bytes) });
const remove = (address: string) => send('DELETE', address, tus);
const patchHead = (address: string) =>
  `PATCH ${address} HTTP/1.1\r\nhost: localhost\r\ntus-resumable: 1.0.0\r\nupload-offset: 0\r\n` +
  'content-type: application/offset+octet-stream\r\ncontent-length: 1000\r\n\r\nabc';
const postHead = (path: string, type = 'image/png', bytes = 1000) =>
  `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${type}\r\ncontent-length: ${bytes}\r\n\r\n`;
const jobFolders = () => readdir(join(data, 'jobs'));

describe('a slow body', () => {
  it('times out with 408 on every route, and releases its slot', async () => {
    const { location } = (await create(1000)).headers;
    const slow = [
      postHead('/v1/segment?model=shapes'),
      `${postHead('/v1/jobs?model=shapes', 'multipart/form-data; boundary=b')}--b\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\n`,
      postHead('/v1/jobs', 'application/json'),
      patchHead(location!),
    ].map((text) => rawSocket(server.url, text));
    const trickle = setInterval(() => {
      for (const { socket } of slow) if (socket.writable) socket.write('a');
    }, 40);
    try {
      await expect
        .poll(() => slow.map(({ heard }) => heard().slice(0, 12)), { timeout: 15_000 })
        .toEqual(slow.map(() => 'HTTP/1.1 408'));
      await Promise.all(slow.map(({ answer }) => answer));
    } finally {
      clearInterval(trickle);
      for (const { socket } of slow) socket.destroy();
    }
    await expect.poll(jobFolders, { timeout: 5000 }).toEqual([]);
    const all = await Promise.all(
      Array.from({ length: PLACES }, () => send('POST', '/v1/segment?model=shapes', {}, 'x')),
    );
    expect(all.map(({ status }) => status)).toEqual(all.map(() => 415));
    await remove(location!);
  });
});

describe('upload slots', () => {
  /** Occupies every slot with an upload in progress while `work` runs. */
  async function whileBusy(work: () => Promise<void>): Promise<void> {
    const busy = Array.from({ length: PLACES }, () =>
      rawSocket(server.url, postHead('/v1/segment?model=shapes', 'image/png', 5e7)),
    );
    const flow = setInterval(() => {
      for (const { socket } of busy) socket.write(Buffer.alloc(20_000));
    }, 50);
    try {
      await expect.poll(async () => (await jobFolders()).length, { timeout: 5000 }).toBe(PLACES);
      await work();
    } finally {
      clearInterval(flow);
      for (const { socket } of busy) socket.destroy();
    }
    await expect.poll(jobFolders, { timeout: 5000 }).toEqual([]);
  }

  it('are shared by all uploads, resumable ones included', async () => {
    const { location } = (await create(1000)).headers;
    await whileBusy(async () => {
      const patch = await send(
        'PATCH',
        location!,
        { ...tus, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' },
        'abc',
      );
      expect([patch.status, patch.headers['retry-after']]).toEqual([429, '2']);
    });
    expect((await remove(location!)).status).toBe(204);
  });

  it('are free again when their connections have broken, however often', async () => {
    for (let i = 0; i < 2 * PLACES; i++) {
      const { location } = (await create(1000)).headers;
      const { socket } = rawSocket(server.url, patchHead(location!));
      const file = join(data, 'uploads', location!.split('/').at(-1)!);
      await expect.poll(async () => (await stat(file)).size).toBe(3); // it has begun
      socket.destroy();
      await expect.poll(async () => (await remove(location!)).status).toBe(204);
    }
    const { body } = await send('GET', '/metrics');
    expect(body).toMatch(/^unseam_uploads_receiving 0$/m);
  });

  it('are not needed by requests without an image', async () => {
    const json = '{"source": {"path": "x.png"}, "model": "shapes"}';
    await whileBusy(async () => {
      const other = await send('POST', '/v1/jobs', { 'content-type': 'application/json' }, json);
      expect([other.status, other.body]).toEqual([400, expect.stringMatching(/no --slides/)]);
    });
  });

  it('leave the idempotency key of a refused request unused', async () => {
    const key = { 'idempotency-key': 'b' };
    await whileBusy(async () => {
      expect((await send('POST', '/v1/jobs?model=shapes', key, 'x')).status).toBe(429);
    });
    expect((await send('POST', '/v1/jobs?model=shapes', key, 'x')).status).toBe(415);
  });

  it('are released when the folder of a job cannot be created', async () => {
    await rename(join(data, 'jobs'), join(data, 'away'));
    for (let i = 0; i <= PLACES; i++)
      for (const route of ['plan', 'segment', 'jobs'])
        await send('POST', `/v1/${route}?model=shapes`, {}, 'x');
    await rename(join(data, 'away'), join(data, 'jobs'));
    expect((await send('POST', '/v1/segment?model=shapes', {}, 'x')).status).toBe(415);
  });
});

describe('disk space', () => {
  it('is checked against the declared length of an upload before it is sent', async () => {
    const huge = rawSocket(server.url, postHead('/v1/segment?model=shapes', 'image/tiff', 9e14));
    await expect
      .poll(huge.heard, { timeout: 2000 })
      .toMatch(/^HTTP\/1.1 507 [\s\S]*urn:unseam:problem:disk-full/);
    huge.socket.destroy();
    expect((await create(9e14)).status).toBe(507);
  });

  it('is reserved for all uploads together, and released with deleted ones', async () => {
    const { bavail, bsize } = await statfs(data);
    const most = Math.floor(bavail * bsize * 0.6);
    const first = await create(most);
    expect([first.status, (await create(most)).status]).toEqual([201, 507]);
    await remove(first.headers.location!);
    const second = await create(most);
    expect(second.status).toBe(201);
    await remove(second.headers.location!);
  });
});

it('an upload has metadata whose keys are those of the protocol', async () => {
  const headers = { ...tus, 'upload-length': '3', 'upload-metadata': 'file\tname' };
  const { status, body } = await send('POST', '/v1/uploads', headers);
  expect([status, JSON.parse(body)]).toMatchObject([
    400,
    { detail: 'a key in Upload-Metadata is not of visible ASCII characters' },
  ]);
});

describe('an upload that is complete', () => {
  it('becomes exactly one job under concurrent requests', async () => {
    const image = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#808080' } })
      .png()
      .toBuffer();
    const { location } = (await create(image.length)).headers;
    const patch = { ...tus, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' };
    expect((await rawRequest(`${server.url}${location}`, 'PATCH', patch, image)).status).toBe(204);
    const json = JSON.stringify({ source: { upload: location }, model: 'shapes' });
    const answers = await Promise.all(
      Array.from({ length: 3 }, () => send('POST', '/v1/jobs', { 'content-type': 'application/json' }, json)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([202, 404, 404]);
    const missing = answers.find(({ status }) => status === 404)!;
    expect(missing.body).toMatch(/there is no upload \\"[0-9a-f]{32}\\"/);
    const { location: job } = answers.find(({ status }) => status === 202)!.headers;
    for (let i = 0; i < 2; i++) await send('DELETE', job!);
  });
});

describe('an abandoned upload', () => {
  const HOUR = 3600_000;
  it('expires a fixed time after its last byte, not its first', async () => {
    const dir = join(folder, 'kept');
    await mkdir(dir);
    const account = new DiskAccount(NO_LIMITS);
    const transfers = new Transfers({ folder: dir, places: 1, ownerPlaces: 1, minFreeBytes: 0, account });
    const uploads = await Uploads.open({
      folder: dir,
      path: '/v1/uploads',
      maxBytes: 1e6,
      keepMs: HOUR,
      transfers,
      hidesNames: false,
    });
    const ago = (hours: number) => new Date(Date.now() - hours * HOUR);
    const put = async (id: string, created: Date, written: Date) => {
      await writeFile(join(dir, id), 'abc');
      await writeFile(
        join(dir, `${id}.json`),
        JSON.stringify({ id, size: 10, offset: 0, creation_date: created }),
      );
      for (const name of [id, `${id}.json`]) await utimes(join(dir, name), written, written);
    };
    const [old, fresh] = ['0'.repeat(32), '1'.repeat(32)];
    await put(old, ago(5), ago(2));
    await put(fresh, ago(5), ago(0.5));
    await writeFile(join(dir, `${'2'.repeat(32)}.json`), '{torn');
    await uploads.expire(() => {});
    expect((await readdir(dir)).sort()).toEqual([fresh, `${fresh}.json`, `${'2'.repeat(32)}.json`]);
  });
});
