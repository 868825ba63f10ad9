import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { testFolder } from '../../support/files.js';
import { testServer } from '../../support/product.js';

const root = await testFolder();
const newFolder = () => mkdtemp(join(root, 'data-'));
const BIN = fileURLToPath(new URL('../../../server/bin.js', import.meta.url));

describe("a data folder's lock", () => {
  it('is ignored if truncated', async () => {
    const folder = await newFolder();
    await writeFile(join(folder, 'server.lock'), '{"pid":1,"sta');
    const running = await testServer(folder).catch((error: Error) => error);
    expect(running).not.toBeInstanceOf(Error);
    if (!(running instanceof Error)) await running.close();
  });
});

const allowed = spawnSync('unshare', ['-p', '--fork', 'true']).status === 0;

const containers: ChildProcess[] = [];
afterAll(async () => {
  const running = containers.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  const exits = running.map((child) => once(child, 'exit'));
  for (const child of running) child.kill('SIGKILL');
  await Promise.all(exits);
});

/** The server as PID 1 of its own namespace, as in a container. */
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
  containers.push(child);
  let log = '';
  return new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      const found = /"url":"([^"]+)"/.exec((log += chunk))?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${log}`)));
  });
}

describe.skipIf(!allowed)('two containers that share a folder', () => {
  it('distinguish their processes with PID 1', async () => {
    const folder = await newFolder();
    await containedServer(folder);
    const url = await containedServer(folder);
    const ready = await fetch(`${url}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([
      503,
      expect.stringMatching(/^waiting for the data folder/),
    ]);
    const work = await fetch(`${url}/v1/jobs`);
    expect([work.status, ((await work.json()) as { type: string }).type]).toEqual([
      503,
      'urn:unseam:problem:folder-in-use',
    ]);
  });
});
