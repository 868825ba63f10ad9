import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { testFolder } from '../../support/files.js';
import { serverProcess } from '../../support/product.js';
import { rawSocket } from '../../support/raw.js';

const folder = await testFolder();
const started: Awaited<ReturnType<typeof serverProcess>>[] = [];
afterAll(() => {
  for (const server of started) server.process.kill('SIGKILL');
});

async function serverWith(...args: string[]) {
  const server = await serverProcess(join(folder, `data-${started.length}`), args);
  started.push(server);
  return server;
}

/** A request that is refused by its head while its body is under way, until its connection was ended. */
const refused = (url: string) =>
  rawSocket(
    url,
    'POST /v1/segment?model=none HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\na part',
  ).answer;

describe('a body that was refused before its end is watched no longer than its connection:', () => {
  it('nobody is said to have sent it too slowly', async () => {
    const server = await serverWith('--idle-timeout', '2');
    let log = '';
    server.process.stdout.on('data', (chunk) => {
      log += chunk;
    });
    expect(await refused(server.url)).toMatch(/^HTTP\/1.1 404 [\s\S]*problem:unknown-model/);
    // A body that begins after it, and is too slow: when that is ended, the time of the first is over, too.
    const slow =
      'POST /v1/jobs?model=shapes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\na part';
    expect(await rawSocket(server.url, slow).answer).toMatch(/^HTTP\/1.1 408 /);
    server.process.kill('SIGTERM');
    await once(server.process, 'close');
    expect(log).toContain('"msg":"request refused"');
    expect(log.match(/too slowly/g)).toHaveLength(1);
  });

  it('the server that refused it ends when it is told to', async () => {
    const server = await serverWith('--idle-timeout', '60');
    expect(await refused(server.url)).toMatch(/^HTTP\/1.1 404 /);
    const stopped = performance.now();
    server.process.kill('SIGTERM');
    expect(await server.exit).toBe(0);
    expect(performance.now() - stopped).toBeLessThan(20_000);
  });
});
