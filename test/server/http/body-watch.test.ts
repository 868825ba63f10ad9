import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
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
