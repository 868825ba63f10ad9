import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHttpServer } from '../../../server/http/connections.js';
import { ProblemReporter } from '../../../server/http/problem-reporter.js';
import { type FakeServer, fakeImage, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { rawRequest, rawSocket } from '../../support/raw.js';

const folder = await testFolder();
const data = join(folder, 'data');
const image = fakeImage(400, 400);
let server: FakeServer;
beforeAll(async () => {
  server = await fakeServer(data, { maxBodyBytes: 1_000_000 });
});
afterAll(() => server?.close());

const SECURED = [
  "content-security-policy: default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy: same-origin',
  'referrer-policy: no-referrer',
  'x-content-type-options: nosniff',
  'x-frame-options: DENY',
];
/** A response's status, its problem's code, and the mandatory headers that it lacks. */
function read(answer: string) {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  const [, status] = /^HTTP\/1.1 (\d+) /.exec(head) ?? [];
  const lines = head.split('\r\n').map((line) => line.replace(/^[\w-]+/, (name) => name.toLowerCase()));
  const lacks = SECURED.filter((line) => !lines.includes(line));
  return { status: Number(status), code: /urn:unseam:problem:([\w-]+)/.exec(body)?.[1], lacks };
}
const post = (head: string, path = '/v1/segment?model=shapes') =>
  `POST ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${head}\r\n\r\n`;

describe('a malformed request gets a regular response', () => {
  it.each<[string, string, number, string]>([
    ['an unknown method', 'BAD / HTTP/1.1\r\n\r\n', 400, 'bad-request'],
    ['no Host', 'GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'bad-request'],
    ['an invalid length', post('content-length: a'), 400, 'bad-request'],
    ['a chunk without a length', `${post('transfer-encoding: chunked')}zz\r\n`, 400, 'bad-request'],
    ['oversized headers', post(`x: ${'y'.repeat(40_000)}`), 431, 'header-too-long'],
    ['an unknown expectation', post('expect: 200-ok'), 417, 'bad-expectation'],
  ])('%s', async (_what, text, status, code) => {
    const { answer } = rawSocket(server.url, text);
    expect(read(await answer)).toEqual({ status, code, lacks: [] });
  });

  it('but after a started response the connection closes without another', async () => {
    const release = server.worker.block();
    const job = await rawRequest(`${server.url}/v1/jobs?model=em-membrane&tta=1`, 'POST', {}, image);
    const self = job.headers.location!;
    const { socket, heard, answer } = rawSocket(
      server.url,
      `GET ${self}/events HTTP/1.1\r\nhost: localhost\r\n\r\n`,
    );
    await expect.poll(heard).toMatch(/event: state/);
    socket.write('BAD\r\n\r\n');
    expect(await answer).not.toMatch(/problem/);
    release();
    for (let i = 0; i < 2; i++) await rawRequest(`${server.url}${self}`, 'DELETE');
  });

  it('headers that never arrive', async () => {
    const reporter = new ProblemReporter(pino({ level: 'silent' }));
    const headerTimes = { headersTimeout: 100, connectionsCheckingInterval: 20 };
    const waiting = createHttpServer((_, response) => response.end(), reporter, { headerTimes }).listen(
      0,
      '127.0.0.1',
    );
    await once(waiting, 'listening');
    const { port } = waiting.address() as AddressInfo;
    const { answer } = rawSocket(`http://127.0.0.1:${port}`, 'GET / HTTP/1.1\r\nhost');
    expect(read(await answer)).toEqual({ status: 408, code: 'stalled', lacks: [] });
    waiting.close();
  });
});

describe('a request with Expect: 100-continue', () => {
  const expecting = (more: string) => post(`expect: 100-continue\r\n${more}`);

  it.each<[string, string, number, string]>([
    ['that is too large', expecting('content-length: 9000000'), 413, 'too-large'],
    [
      'of JSON that is too large',
      post('expect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: 900000', '/v1/jobs'),
      413,
      'too-large',
    ],
    [
      'for an unknown model',
      post('expect: 100-continue\r\ncontent-length: 9', '/v1/segment?model=none'),
      404,
      'unknown-model',
    ],
    [
      'for an unknown upload',
      `PATCH /v1/uploads/${'0'.repeat(32)} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntus-resumable: 1.0.0\r\n` +
        'upload-offset: 0\r\ncontent-type: application/offset+octet-stream\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n',
      404,
      'not-found',
    ],
  ])('%s is refused before it is sent', async (_what, text, status, code) => {
    const { socket, heard } = rawSocket(server.url, text);
    await expect.poll(() => read(heard())).toMatchObject({ status, code });
    socket.destroy();
  });

  it('receives one 100 Continue when its body is accepted', async () => {
    const { socket, heard, answer } = rawSocket(server.url, expecting(`content-length: ${image.length}`));
    await expect.poll(heard).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    socket.write(image);
    expect(await answer).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK\r\n/);
  });
});

it('all pipelined requests are cancelled when their connection closes', async () => {
  const metric = async () => {
    const { body } = await rawRequest(`${server.url}/metrics`, 'GET');
    const count = /duration_seconds_count\{route="\/v1\/segment",method="POST",status="499"\} (\d+)/.exec(
      body,
    );
    return Number(count?.[1] ?? 0);
  };
  const head = `POST /v1/segment?model=em-membrane&tta=1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${image.length}\r\n\r\n`;
  const before = await metric();
  const release = server.worker.block();
  const { socket } = rawSocket(server.url, '');
  for (let i = 0; i < 2; i++) {
    socket.write(head);
    socket.write(image);
  }
  await expect.poll(async () => (await readdir(join(data, 'jobs'))).length, { interval: 5 }).toBe(2);
  socket.destroy();
  await expect.poll(metric, { timeout: 5000 }).toBe(before + 2);
  await expect.poll(() => readdir(join(data, 'jobs')), { timeout: 10_000 }).toEqual([]);
  release();
});

it('a server that waits for its data folder checks the Host, and responds like one that is ready', async () => {
  const taken = join(folder, 'taken');
  await mkdir(taken);
  const holder = { token: 'x', boot: 'another', namespace: 'another', host: 'other', pid: 1, started: '1' };
  await writeFile(join(taken, 'server-1.lock'), JSON.stringify({ ...holder, renewals: 0, released: false }));
  const waiting = await fakeServer(taken);
  try {
    const get = (path: string, host: string) =>
      rawSocket(waiting.url, `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`).answer;
    const foreign = read(await get('/v1/models', 'attacker.example'));
    expect(foreign).toEqual({ status: 421, code: 'wrong-host', lacks: [] });
    const own = read(await get('/v1/models', 'localhost'));
    expect(own).toEqual({ status: 503, code: 'folder-in-use', lacks: [] });
    expect(read(await get('/livez', 'any')).status).toBe(200);
    expect(await get('/readyz', 'any')).toMatch(
      / 503 [\s\S]*waiting for the data folder: process 1 of other/,
    );
  } finally {
    await waiting.close();
  }
});
