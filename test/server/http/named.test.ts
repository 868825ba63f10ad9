import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import express from 'express';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { problemHandler } from '../../../server/http/problem.js';
import { ProblemReporter } from '../../../server/http/problem-reporter.js';
import { sendFile } from '../../../server/http/send.js';
import { type FakeServer, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { rawRequest } from '../../support/raw.js';

const folder = await testFolder();
let server: FakeServer;
beforeAll(async () => {
  server = await fakeServer(join(folder, 'data'));
});
afterAll(() => server?.close());

/** Status, content type, and the problem's code, or the body if there is none. */
async function outcome(url: string, method: string, headers: Record<string, string>, body = '') {
  const answer = await rawRequest(url, method, headers, body);
  const type = answer.headers['content-type']?.split(';')[0];
  const named = type === 'application/problem+json';
  const problem = named ? (JSON.parse(answer.body) as { type: string; status: number }) : null;
  if (problem) expect(problem.status).toBe(answer.status);
  return [answer.status, problem?.type.replace('urn:unseam:problem:', '') ?? type];
}

describe('a refusal has a specific code', () => {
  it.each(['gzip', 'br'])('JSON with content encoding %s', async (encoding) => {
    const headers = { 'content-type': 'application/json', 'content-encoding': encoding };
    expect(await outcome(`${server.url}/v1/jobs`, 'POST', headers, '{}')).toEqual([400, 'bad-request']);
  });

  it('JSON that is too large', async () => {
    const source = { path: 'x'.repeat(70_000) };
    const headers = { 'content-type': 'application/json' };
    const url = `${server.url}/v1/jobs`;
    expect(await outcome(url, 'POST', headers, JSON.stringify({ source }))).toEqual([413, 'too-large']);
    const chunked = { ...headers, 'transfer-encoding': 'chunked' };
    expect(await outcome(url, 'POST', chunked, JSON.stringify({ source }))).toEqual([413, 'too-large']);
  });

  it('a form part with an oversized header', async () => {
    const form = `--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\nX: ${'y'.repeat(100_000)}\r\n\r\nx\r\n--b--\r\n`;
    const headers = { 'content-type': 'multipart/form-data; boundary=b' };
    const url = `${server.url}/v1/segment?model=shapes`;
    expect(await outcome(url, 'POST', headers, form)).toEqual([400, 'bad-request']);
  });

  const tus = { 'Tus-Resumable': '1.0.0' };
  const patch = { ...tus, 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': '0' };
  const unknown = `/v1/uploads/${'0'.repeat(32)}`;
  it.each<[string, string, string, Record<string, string>, [number, string]]>([
    ['an upload without a tus version', 'POST', '/v1/uploads', {}, [412, 'wrong-protocol']],
    ['an invalid length', 'POST', '/v1/uploads', { ...tus, 'Upload-Length': '1.5' }, [400, 'bad-request']],
    ['a missing length', 'POST', '/v1/uploads', tus, [400, 'bad-request']],
    [
      'an unsupported extension',
      'POST',
      '/v1/uploads',
      { ...tus, 'Upload-Concat': 'final;/x' },
      [400, 'bad-request'],
    ],
    ['a PATCH of an unknown upload', 'PATCH', unknown, patch, [404, 'not-found']],
    ['a DELETE of an unknown upload', 'DELETE', unknown, tus, [404, 'not-found']],
  ])('%s', async (_what, method, path, headers, expected) => {
    expect(await outcome(`${server.url}${path}`, method, headers)).toEqual(expected);
  });

  it('a range beyond the end of the file', async () => {
    const path = join(folder, 'ten');
    await writeFile(path, '0123456789');
    const app = express().get('/', (request, response) =>
      sendFile(request, response, path, { type: 'image/tiff', etag: 'x', idleTimeoutMs: 1000 }),
    );
    const files = createServer(
      app.use(problemHandler(new ProblemReporter(pino({ level: 'silent' })))),
    ).listen(0, '127.0.0.1');
    await once(files, 'listening');
    const url = `http://127.0.0.1:${(files.address() as AddressInfo).port}/`;
    const answer = await rawRequest(url, 'GET', { range: 'bytes=10-' });
    expect(answer.headers['content-range']).toBe('bytes */10');
    expect(await outcome(url, 'GET', { range: 'bytes=10-' })).toEqual([416, 'bad-range']);
    files.close();
  });
});
