import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { testFolder } from '../support/files.js';
import { testServer } from '../support/product.js';

const root = await testFolder();
const newFolder = () => mkdtemp(join(root, 'data-'));
const BIN = fileURLToPath(new URL('../../server/bin.js', import.meta.url));

describe("a data folder's lock", () => {
  it('that is torn is none', async () => {
    const folder = await newFolder();
    await writeFile(join(folder, 'server.lock'), '{"pid":1,"sta');
    const running = await testServer(folder).catch((error: Error) => error);
    expect(running).not.toBeInstanceOf(Error);
    if (!(running instanceof Error)) await running.close();
  });
});

const allowed = spawnSync('unshare', ['-p', '--fork', 'true']).status === 0;

/** The server as PID 1 of a namespace of its own, as in a container. */
async function containedServer(data: string) {
  const args = [
    '-p',
    '--fork',
    '--kill-child',
    process.execPath,
    BIN,
    'serve',
    '--port',
    '0',
    '--data',
    data,
  ];
  const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let log = '';
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      const found = /"url":"([^"]+)"/.exec((log += chunk))?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${log}`)));
  });
  return { url, child };
}

describe.skipIf(!allowed)('two containers with one folder', () => {
  it('do not take their PID 1 for the same process', async () => {
    const folder = await newFolder();
    const first = await containedServer(folder);
    const second = await containedServer(folder);
    const ready = await fetch(`${second.url}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([
      503,
      expect.stringMatching(/^waiting for the data folder/),
    ]);
    const work = await fetch(`${second.url}/v1/jobs`);
    expect([work.status, ((await work.json()) as { type: string }).type]).toEqual([
      503,
      'urn:unseam:problem:folder-in-use',
    ]);
    for (const { child } of [first, second]) {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
  });
});
