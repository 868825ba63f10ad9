import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import express from 'express';
import { expect, it } from 'vitest';
import { sendFile } from '../../../server/http/send.js';
import { fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { rawRequest, rawSocket } from '../../support/raw.js';

const folder = await testFolder();

it('a draining server refuses new requests, and closes pending ones after the grace period', async () => {
  const server = await fakeServer(join(folder, 'data'), { drainMs: 1000 });
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;
  const alive = rawSocket(server.url, get('/livez'));
  const sending = rawSocket(
    server.url,
    'POST /v1/segment?model=shapes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000000\r\n\r\n',
  );
  const flow = setInterval(() => sending.socket.writable && sending.socket.write(Buffer.alloc(20_000)), 100);
  try {
    await expect.poll(alive.heard, { timeout: 5000 }).toMatch(/^HTTP\/1.1 200 /);
    let closed = false;
    const closing = server.close().then(() => {
      closed = true;
    });
    alive.socket.write(get('/v1/models'));
    await expect
      .poll(() => alive.heard().slice(1), { timeout: 2000 })
      .toMatch(/HTTP\/1.1 503 [\s\S]*problem:draining/);
    expect(alive.heard()).toMatch(/\r\nConnection: close\r\n/i);
    await alive.answer;
    const status = (path: string) =>
      rawRequest(`${server.url}${path}`, 'GET').then((answer) => answer.status, String);
    expect(await Promise.all(['/livez', '/readyz', '/v1/jobs'].map(status))).toEqual([200, 503, 503]);
    await expect.poll(() => closed, { timeout: 8000 }).toBe(true);
    expect(await sending.answer).toMatch(/^HTTP\/1.1 503 [\s\S]*problem:draining/);
    await closing;
  } finally {
    clearInterval(flow);
    sending.socket.destroy();
    await server.close().catch(() => undefined);
  }
});

it('a keep-alive connection closes when idle after a file was sent', async () => {
  const path = join(folder, 'file');
  await writeFile(path, 'bytes');
  const app = express();
  app.get('/', (request, response) =>
    sendFile(request, response, path, { type: 'text/plain', etag: null, idleTimeoutMs: 60_000 }),
  );
  const server = app.listen(0, '127.0.0.1');
  server.keepAliveTimeout = 50;
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const { socket, heard } = rawSocket(
    `http://127.0.0.1:${port}`,
    'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n',
  );
  let ended = false;
  socket.once('close', () => {
    ended = true;
  });
  await expect.poll(heard).toMatch(/bytes$/);
  await expect.poll(() => ended, { timeout: 4000 }).toBe(true);
  server.close();
});
