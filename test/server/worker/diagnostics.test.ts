import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { beforeAll, describe, expect, it } from 'vitest';
import { limitsUnder } from '../../../server/worker/diagnostics.js';
import { WORKER_LIMITS } from '../../../server/worker/limits.js';
import { Watchdog } from '../../../server/worker/watchdog.js';
import { testFolder } from '../../support/files.js';
import { serverProcess, unseam, unseamHere } from '../../support/product.js';

const folder = await testFolder();
let image: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  await unseamHere(['samples', '-o', folder, '-s', '300x200', '-n', '1']);
  image = new Uint8Array(await readFile(join(folder, 'images', 'shapes-0001.png')));
});

interface Profile {
  readonly nodes: readonly { readonly callFrame: { readonly url: string } }[];
}

/** The product files with samples in a CPU profile. */
async function filesIn(profile: string): Promise<string[]> {
  const { nodes }: Profile = JSON.parse(await readFile(profile, 'utf8'));
  const files = nodes.map(({ callFrame }) => /\/dist\/(.*)$/.exec(callFrame.url)?.[1]);
  return files.filter((file) => file !== undefined);
}

describe('--cpu-profile', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'writes profiles of worker and engine when the server ends by %s',
    async (signal) => {
      const profiles = join(folder, `profiles-${signal}`);
      const server = await serverProcess(join(folder, signal), ['--cpu-profile', profiles]);
      const answer = await fetch(`${server.url}/v1/segment?model=shapes`, { method: 'POST', body: image });
      expect(answer.status).toBe(200);
      server.process.kill(signal);
      await server.exit;
      const profiled = async () => {
        const names = await readdir(profiles);
        return (await Promise.all(names.map((name) => filesIn(join(profiles, name))))).flat();
      };
      // An orphaned worker exits after its server: until then profiles are missing or incomplete.
      await expect
        .poll(() => profiled().catch(() => []), { interval: 50, timeout: 20_000 })
        .toEqual(expect.arrayContaining(['server/worker/main.js', 'model/engine/engine-thread.js']));
    },
  );
});

describe('--inspect-worker', () => {
  it('opens the inspector of the worker', async () => {
    let targets: unknown;
    const stopWhenListed = async (stderr: Readable, stop: () => void) => {
      for await (const line of createInterface(stderr)) {
        const host = /ws:\/\/(\S+?)\//.exec(line)?.[1];
        if (host === undefined) continue;
        targets = await (await fetch(`http://${host}/json/list`)).json();
        stop();
      }
    };
    const args = ['serve', '--port', '0', '--data', join(folder, 'inspected'), '--inspect-worker', '0'];
    const { code } = await unseam(args, {
      started: (child) => void stopWhenListed(child.stderr!, () => child.kill('SIGTERM')),
      timeoutMs: 50_000,
    });
    expect(code).toBe(0);
    expect(targets).toMatchObject([{ url: expect.stringMatching(/server\/worker\/main\.js$/) }]);
  });

  it('lets a worker pause at a breakpoint', () => {
    const hung: string[] = [];
    const limits = limitsUnder(WORKER_LIMITS, { inspectPort: 9230 });
    const watchdog = new Watchdog(limits, (why) => hung.push(why));
    for (let i = 0; i < 100_000; i++) watchdog.tick();
    watchdog.beat({ batches: [{ ranMs: 3600_000, expectedMs: 10 }] });
    expect(hung).toEqual([]);
  });
});
