import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeServer, fakeImage, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { expectProblem } from '../../support/problem.js';

const folder = await testFolder();
const shapes = fakeImage(500, 350);
let server: FakeServer;
beforeAll(async () => {
  server = await fakeServer(join(folder, 'data'), { maxBodyBytes: 8_000_000, idleTimeoutMs: 700 });
});
afterAll(() => server?.close());

const post = (body: RequestInit['body'], query = 'model=shapes', headers: Record<string, string> = {}) =>
  fetch(`${server.url}/v1/segment?${query}`, { method: 'POST', body: body!, headers });
const until = (condition: () => Promise<boolean>) =>
  expect.poll(condition, { interval: 5, timeout: 10_000 }).toBe(true);
const nothingIsLeft = async () => (await readdir(join(folder, 'data', 'jobs'))).length === 0;

describe('a bad request has its own status and problem', () => {
  const cases: [string, number, string, () => Promise<Response>, RegExp][] = [
    [
      'an unknown model',
      404,
      'unknown-model',
      () => post(new Uint8Array(shapes), 'model=none'),
      /known: em-membrane, shapes/,
    ],
    [
      'no model',
      400,
      'bad-request',
      () => post(new Uint8Array(shapes), ''),
      /name a model: em-membrane, shapes/,
    ],
    [
      'an unknown output',
      400,
      'bad-request',
      () => post('x', 'model=shapes&output=pdf'),
      /unknown output .*: expected labels, probabilities, overlay/,
    ],
    ['tta=yes', 400, 'bad-request', () => post('x', 'model=shapes&tta=yes'), /parameter "tta"/],
    [
      'an unknown parameter',
      400,
      'bad-request',
      () => post('x', 'model=shapes&tiles=9'),
      /"tiles": expected model, tile, /,
    ],
    [
      'an unsupported format',
      406,
      'unsupported-output',
      () => post('x', 'model=shapes', { accept: 'image/gif' }),
      /image\/tiff/,
    ],
    [
      'a format that its output does not have',
      406,
      'unsupported-output',
      () => post('x', 'model=shapes&output=geojson:tiff'),
      /geojson are written as geojson, not tiff/,
    ],
    [
      'a body over the limit, with its length',
      413,
      'too-large',
      () => post(new Uint8Array(9_000_000)),
      /8000000 bytes/,
    ],
    [
      'a body over the limit, chunked',
      413,
      'too-large',
      () => {
        const stream = new Blob([new Uint8Array(9_000_000)]).stream();
        return fetch(`${server.url}/v1/segment?model=shapes`, {
          method: 'POST',
          body: stream,
          duplex: 'half',
        } as RequestInit);
      },
      /8000000 bytes/,
    ],
    [
      'multipart without an image',
      400,
      'bad-request',
      () => {
        const form = new FormData();
        form.append('picture', new Blob(['x']), 'x.png');
        return post(form);
      },
      /no file named "image"/,
    ],
    [
      'multipart without a boundary',
      400,
      'bad-request',
      () => post('x', 'model=shapes', { 'content-type': 'multipart/form-data' }),
      /cannot be read: .*[Bb]oundary/,
    ],
    [
      'truncated multipart',
      400,
      'bad-request',
      () => {
        const body = '--b\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\nabc';
        return post(body, 'model=shapes', { 'content-type': 'multipart/form-data; boundary=b' });
      },
      /cannot be read/,
    ],
    ['another path', 404, 'not-found', () => fetch(`${server.url}/v3`), /GET \/v3/],
  ];
  it.each(cases)('%s', async (_name, status, code, request, detail) => {
    await expectProblem(await request(), status, code, detail, folder);
  });

  const send = (head: string, body = '') =>
    new Promise<string>((resolve, reject) => {
      const { hostname, port } = new URL(server.url);
      const socket = connect(Number(port), hostname, () =>
        socket.write(`${head}\r\nhost: localhost\r\n\r\n${body}`),
      );
      let answer = '';
      socket.on('data', (chunk) => (answer += chunk));
      socket.on('close', () => resolve(answer));
      socket.on('error', reject);
    });

  it('an idle client is disconnected', async () => {
    await send('POST /v1/segment?model=shapes HTTP/1.1\r\ncontent-length: 1000', 'abc');
    await until(nothingIsLeft);
  });

  it.each([
    ['', 'abc'],
    [
      'content-type: multipart/form-data; boundary=b\r\n',
      '--b\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\nabc',
    ],
  ])('a client that disconnects half way (%j)', async (header, body) => {
    const { hostname, port } = new URL(server.url);
    const head = `POST /v1/segment?model=shapes HTTP/1.1\r\nhost: localhost\r\n${header}content-length: 100000`;
    const socket = connect(Number(port), hostname, () => socket.write(`${head}\r\n\r\n${body}`));
    await until(async () => !(await nothingIsLeft()));
    socket.destroy();
    await until(nothingIsLeft);
  });

  it('afterwards the server still answers and its scratch folder is empty', async () => {
    expect((await post(new Uint8Array(shapes))).status).toBe(200);
    await until(nothingIsLeft);
  });
});

it('a request is refused with Retry-After when the queue is full', async () => {
  const small = await fakeServer(join(folder, 'small'), { queueLimit: 1 });
  try {
    const url = `${small.url}/v1/segment?model=shapes`;
    const slow = connect(Number(new URL(url).port), '127.0.0.1', () =>
      slow.write(
        'POST /v1/segment?model=shapes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc',
      ),
    );
    await until(async () => (await readdir(join(folder, 'small', 'jobs'))).length > 0);
    const response = await fetch(url, { method: 'POST', body: new Uint8Array(shapes) });
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '2']);
    slow.destroy();
  } finally {
    await small.close();
  }
});
