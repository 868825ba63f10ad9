import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import express from 'express';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { watchBodies } from '../../../server/http/body-watch.js';
import { ProblemReporter } from '../../../server/http/problem-reporter.js';
import { fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { serverProcess } from '../../support/product.js';
import { rawSocket } from '../../support/raw.js';

const folder = await testFolder();

/** Sends a request that is refused by its head while its body is in flight; resolves when its connection has closed. */
const refused = (url: string) =>
  rawSocket(
    url,
    'POST /v1/segment?model=none HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\na part',
  ).answer;

describe('the timeout of the body of a refused request ends with its connection:', () => {
  it('it is not logged as a slow upload', async () => {
    let log = '';
    const server = await fakeServer(join(folder, 'fake'), {
      idleTimeoutMs: 2000, // longer than a refused connection stays open
      log: pino({}, { write: (line: string) => void (log += line) }),
    });
    expect(await refused(server.url)).toMatch(/^HTTP\/1.1 404 [\s\S]*problem:unknown-model/);
    // A slow body that starts after it: when this one times out, the timeout of the first has elapsed, too.
    const slow =
      'POST /v1/jobs?model=shapes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\na part';
    expect(await rawSocket(server.url, slow).answer).toMatch(/^HTTP\/1.1 408 /);
    await server.close();
    expect(log).toContain('"msg":"request refused"');
    expect(log.match(/"code":"stalled"/g)).toHaveLength(1);
  });

  it('it does not delay the shutdown of the server', async () => {
    const server = await serverProcess(join(folder, 'real'), ['--idle-timeout', '60']);
    onTestFinished(() => void server.process.kill('SIGKILL'));
    expect(await refused(server.url)).toMatch(/^HTTP\/1.1 404 /);
    const stopped = performance.now();
    server.process.kill('SIGTERM');
    expect(await server.exit).toBe(0);
    expect(performance.now() - stopped).toBeLessThan(20_000);
  });
});

it('a body that takes too long is aborted, whatever its rate', async () => {
  const limits = { idleTimeoutMs: 50, minRate: 1, maxMs: 150 };
  const app = express().post(
    '/',
    watchBodies(limits, new ProblemReporter(pino({ level: 'silent' }))),
    (request) => {
      request.resume();
    },
  );
  const server = app.listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const head = 'POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n';
  const { socket, answer } = rawSocket(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, head);
  const sending = setInterval(() => socket.writable && socket.write('a'), 5);
  expect(await answer).toMatch(/^HTTP\/1.1 408 [\s\S]*the body took longer than 0.15 s/);
  clearInterval(sending);
});
