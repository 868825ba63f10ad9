import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeServer, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { rawRequest } from '../../support/raw.js';

const folder = await testFolder();
let server: FakeServer;
beforeAll(async () => {
  server = await fakeServer(join(folder, 'data'));
});
afterAll(() => server?.close());

const send = (method: string, path: string, headers: Record<string, string> = {}, body = '') =>
  rawRequest(`${server.url}${path}`, method, headers, body);
const codeOf = (body: string) =>
  (JSON.parse(body) as { type: string }).type.replace('urn:unseam:problem:', '');

describe('a server on loopback', () => {
  const port = () => new URL(server.url).port;

  it.each([
    'attacker.example',
    'attacker.example:8080',
    '127.0.0.1.attacker.example',
    '192.168.0.7',
    '[::2]',
    'local host',
  ])('is not %s, whose name may have been made to point here', async (host) => {
    for (const path of ['/', '/v1/models', '/v1/jobs']) {
      const answer = await send('GET', path, { host });
      expect([host, path, answer.status]).toEqual([host, path, 421]);
      expect(codeOf(answer.body)).toBe('wrong-host');
    }
  });

  it('accepts loopback names with any port, and probes under any name', async () => {
    for (const host of [
      'localhost',
      `LOCALHOST:${port()}`,
      'unseam.localhost:1',
      '127.0.0.1',
      '127.9.9.9:80',
      '[::1]:80',
    ]) {
      expect([host, (await send('GET', '/v1/models', { host })).status]).toEqual([host, 200]);
    }
    for (const path of ['/livez', '/metrics'])
      expect((await send('GET', path, { host: '10.0.0.7:8080' })).status).toBe(200);
  });
});

describe('a state-changing request', () => {
  const writes: [method: string, path: string][] = [
    ['POST', '/v1/segment?model=shapes'],
    ['POST', '/v1/jobs?model=shapes'],
    ['POST', '/v1/plan?model=shapes'],
    ['DELETE', '/v1/jobs/1'],
    ['POST', '/v1/uploads'],
    ['PATCH', '/v1/uploads/1'],
    ['DELETE', '/v1/uploads/1'],
  ];
  const foreign: Record<string, string>[] = [
    { origin: 'http://attacker.example' },
    { origin: 'http://localhost:1' },
    { origin: 'null' },
    { origin: 'file://' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site', origin: 'http://localhost:1' },
  ];
  it.each(foreign)('is refused from pages of other sites: %j', async (headers) => {
    for (const [method, path] of writes) {
      const answer = await send(method, path, { ...headers, 'tus-resumable': '1.0.0' });
      expect([method, path, answer.status]).toEqual([method, path, 403]);
      expect(codeOf(answer.body)).toBe('foreign-origin');
    }
    expect((await send('GET', '/v1/models', headers)).status).toBe(200);
  });

  it('is accepted from its own page and from clients that are not browsers', async () => {
    const own = [
      {},
      { origin: server.url },
      { 'sec-fetch-site': 'same-origin', origin: 'https://unseam.lab' }, // a proxy that changes the Host
      { 'sec-fetch-site': 'none' },
    ];
    for (const headers of own) {
      const answer = await send('POST', '/v1/uploads', {
        ...headers,
        'tus-resumable': '1.0.0',
        'upload-length': '3',
      });
      expect([headers, answer.status]).toEqual([headers, 201]);
      const gone = await send('DELETE', answer.headers.location!, { ...headers, 'tus-resumable': '1.0.0' });
      expect([headers, gone.status]).toEqual([headers, 204]);
    }
  });
});

it('every response has the security headers', async () => {
  const answers = await Promise.all([
    send('GET', '/'),
    send('GET', '/web/page.css'),
    send('GET', '/livez'),
    send('GET', '/metrics'),
    send('GET', '/v1/models'),
    send('GET', '/v1/jobs/none'),
    send('GET', '/none', { host: 'attacker.example' }),
    send('POST', '/v1/segment?model=shapes', {}, 'text'),
    send('OPTIONS', '/v1/uploads'),
    send('POST', '/v1/uploads', { 'tus-resumable': '1.0.0', 'upload-length': '-1' }),
    send('PATCH', '/v1/uploads/none', { 'tus-resumable': '1.0.0', 'upload-offset': '0' }, 'x'),
  ]);
  for (const { status, headers } of answers) {
    expect([status, headers]).toEqual([
      status,
      expect.objectContaining({
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
        'content-security-policy': expect.stringMatching(/default-src 'none'.*frame-ancestors 'none'/),
        'x-frame-options': 'DENY',
      }),
    ]);
  }
});

it('reports a path that is not UTF-8 as a client error', async () => {
  for (const path of ['/v1/jobs/%zz', '/v1/models/%ff', '/v1/jobs/%c0%ae/result']) {
    const answer = await send('GET', path);
    expect([path, answer.status]).toEqual([path, 400]);
    expect(codeOf(answer.body)).toBe('bad-request');
  }
});
