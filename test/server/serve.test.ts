import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { DeviceUnavailableError } from '../../model/errors.js';
import type { ServeOptions } from '../../server/serve-options.js';
import { fakeServer } from '../support/fake-server.js';
import { testFolder } from '../support/files.js';
import { expectProblem } from '../support/problem.js';
import { testServer, unseam } from '../support/product.js';

const folder = await testFolder();

/** The error with which a server fails to start. */
const refusal = (options: Partial<ServeOptions> & { data?: string }) =>
  testServer(options.data ?? join(folder, 'data'), options).then(
    (server) => server.close().then(() => 'it started'),
    ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
  );

describe('an unusable configuration fails at startup with its reason:', () => {
  it('too little memory for any model, with the figures', async () => {
    expect(await refusal({ memoryBytes: 300 * 2 ** 20 })).toMatch(
      /^too-little-memory: --memory allows 315 MB, and a model takes \d{3} MB at least beside .* of caches \(.*shapes \d{3} MB/,
    );
  });

  it('a models or slides folder that does not exist', async () => {
    expect(await refusal({ models: join(folder, 'none') })).toMatch(/^not-found: --models: .*none/);
    expect(await refusal({ slides: join(folder, 'none') })).toMatch(/^not-found: --slides: .*none/);
  });

  it('a data folder that is a file, or inside one', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    for (const data of [file, join(file, 'data')])
      expect(await refusal({ data })).toMatch(/^bad-folder: .*a part of its path is a file/);
  });

  it('a data folder with a file in place of a folder: no process is left running', async () => {
    const data = join(folder, 'odd');
    await mkdir(data);
    await writeFile(join(data, 'uploads'), '');
    const { code, stderr } = await unseam(['serve', '--port', '0', '--data', data], { timeoutMs: 15_000 });
    expect([code, stderr]).toEqual([
      12,
      expect.stringMatching(/uploads" is not a writable folder.*a part of its path is a file/),
    ]);
  });

  it('an address that is not local, or in use', async () => {
    expect(await refusal({ host: '192.0.2.1', isOpen: true })).toMatch(
      /^bad-address: .*192.0.2.1.*EADDRNOTAVAIL/,
    );
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as { port: number };
    expect(await refusal({ port })).toMatch(new RegExp(`^address-in-use: .*port ${port}: choose another`));
    other.close();
  });

  it.runIf(process.platform === 'linux')('a data folder that cannot be created', async () => {
    const args = ['serve', '--port', '0', '--data', '/proc/nope'];
    const { code, stderr } = await unseam(args, { timeoutMs: 15_000 });
    expect([code, stderr]).toEqual([
      12,
      expect.stringMatching(/"\/proc\/nope" is not a writable folder.*ENOENT/),
    ]);
  });
});

describe.concurrent('a server whose devices take long to start', () => {
  const engine = { provider: 'cuda', threads: 1 } as const;

  it('listens meanwhile, is alive and not ready, and then serves', async () => {
    let start = () => {};
    const started = new Promise<void>((resolve) => (start = resolve));
    const server = await fakeServer(join(folder, 'slow'), { engine }, started);
    const status = async (path: string) => (await fetch(`${server.url}${path}`)).status;
    expect([await status('/livez'), await status('/readyz')]).toEqual([200, 503]);
    const detail = /^waiting for the devices to start$/;
    await expectProblem(await fetch(`${server.url}/v1/jobs`), 503, 'device-unavailable', detail, folder);
    start();
    await vi.waitFor(async () => expect(await status('/readyz')).toBe(200));
    await server.close();
  });

  it('fails when they do not work', async () => {
    let fail: (error: Error) => void = () => {};
    const started = new Promise<void>((_, reject) => (fail = reject));
    const server = await fakeServer(join(folder, 'broken'), { engine }, started);
    fail(new DeviceUnavailableError('cuda:0: there is no GPU of this number'));
    await expect(server.failed).rejects.toMatchObject({ code: 'device-unavailable' });
    await server.close();
  });

  it('stops at once when it is closed', async () => {
    const server = await fakeServer(join(folder, 'closed'), { engine }, new Promise(() => {}));
    await server.close();
  });
});
