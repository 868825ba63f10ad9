import { rm, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeServer, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { rawRequest, rawSocket } from '../../support/raw.js';

const folder = await testFolder();
const data = join(folder, 'data');
const tus = { 'tus-resumable': '1.0.0' };
const chunk = { ...tus, 'upload-offset': '4096', 'content-type': 'application/offset+octet-stream' };
let log: string[] = [];
const logged = () => log.map((line) => JSON.parse(line) as Record<string, unknown>);
const into = pino({}, { write: (line: string) => void log.push(line) });

let server: FakeServer;
beforeAll(async () => {
  server = await fakeServer(data, { log: into, idleTimeoutMs: 300 });
});
afterAll(() => server?.close());

/** The problems that were counted, by their codes. */
async function counted(): Promise<Record<string, number>> {
  const { body } = await rawRequest(`${server.url}/metrics`, 'GET');
  const lines = body.matchAll(/^unseam_http_problems_total\{code="([\w-]+)"\} ([1-9]\d*)$/gm);
  return Object.fromEntries([...lines].map(([, code, count]) => [code, Number(count)]));
}
const send = (method: string, path: string, headers: Record<string, string> = {}, body = '') =>
  rawRequest(`${server.url}${path}`, method, headers, body);
const head = (path: string, more: string) => `POST ${path} HTTP/1.1\r\nhost: localhost\r\n${more}\r\n\r\n`;

describe('a problem is counted and logged once, whoever responds with it:', () => {
  it.each<[string, string, () => Promise<unknown>]>([
    ['a route', 'unknown-model', () => send('POST', '/v1/segment?model=none')],
    ['tus', 'not-found', () => send('DELETE', `/v1/uploads/${'a'.repeat(32)}`, tus)],
    ['tus, by the protocol', 'wrong-protocol', () => send('DELETE', `/v1/uploads/${'a'.repeat(32)}`)],
    [
      'the watch over slow bodies',
      'stalled',
      () => rawSocket(server.url, head('/v1/segment?model=shapes', 'content-length: 1000')).answer,
    ],
    ['the parser of HTTP', 'bad-request', () => rawSocket(server.url, 'BAD / HTTP/1.1\r\n\r\n').answer],
    [
      'the parser of HTTP, in a body',
      'bad-request',
      () =>
        rawSocket(server.url, `${head('/v1/segment?model=shapes', 'transfer-encoding: chunked')}zz\r\n`)
          .answer,
    ],
  ])('%s', async (_who, code, cause) => {
    const before = await counted();
    log = [];
    await cause();
    await expect.poll(counted).toEqual({ ...before, [code]: (before[code] ?? 0) + 1 });
    expect(logged()).toEqual([expect.objectContaining({ code, msg: 'request refused' })]);
  });

  it('tus, where the disk fails: as an error, with its stack, and without it in the response', async () => {
    const { location } = (await send('POST', '/v1/uploads', { ...tus, 'upload-length': '9000' })).headers;
    const path = join(data, 'uploads', basename(location!));
    await rm(path);
    await symlink(basename(path), path); // a loop, which cannot be opened
    log = [];
    const { status, body } = await send('PATCH', location!, chunk, 'abc');
    expect([status, JSON.parse(body)]).toEqual([500, expect.objectContaining({ title: 'Internal error' })]);
    expect(await counted()).toMatchObject({ internal: 1 });
    expect(logged()).toMatchObject([{ level: 50, path: location, err: { stack: expect.any(String) } }]);
    await rm(path);
  });

  it('the end of a shutdown', async () => {
    const other = await fakeServer(join(folder, 'other'), { log: into, drainMs: 200 });
    log = [];
    const sending = rawSocket(other.url, head('/v1/segment?model=shapes', 'content-length: 100000000'));
    await expect
      .poll(() => rawRequest(`${other.url}/metrics`, 'GET').then(({ body }) => body))
      .toMatch(/requests_in_flight 2/);
    await other.close();
    expect(await sending.answer).toMatch(/problem:draining/);
    expect(logged().filter(({ msg }) => /^request /.test(String(msg)))).toEqual([
      expect.objectContaining({ err: expect.objectContaining({ code: 'draining' }) }),
    ]);
  });
});
