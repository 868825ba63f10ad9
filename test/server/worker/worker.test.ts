import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import type { RunningServer } from '../../../server/serve.js';
import { testFolder } from '../../support/files.js';
import { jobWhen } from '../../support/jobs.js';
import { testServer, unseamHere } from '../../support/product.js';

const folder = await testFolder();
let server: RunningServer;
let slide: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  await unseamHere(['samples', '-o', folder, '-s', '500x400', '-n', '1']);
  slide = new Uint8Array(await readFile(join(folder, 'images', 'shapes-0001.png')));
  const restartMs = { first: 50, last: 100 };
  const limits = { worker: { beatMs: 50, silentMs: 250, hungMs: 1500, graceMs: 500, restartMs } };
  server = await testServer(join(folder, 'data'), { ...limits });
});
afterAll(() => server?.close());

const get = async (id: string) => (await fetch(`${server.url}/v1/jobs/${id}`)).json() as Promise<JobView>;
const ready = async () => {
  const response = await fetch(`${server.url}/readyz`);
  return [response.status, await response.text()];
};
/** A running job in a suspended worker. */
async function stopped(): Promise<string> {
  const response = await fetch(`${server.url}/v1/jobs?model=em-membrane&tile=124`, {
    method: 'POST',
    body: slide,
  });
  const { id } = (await response.json()) as JobView;
  await jobWhen(server.url, id, ({ state }) => state === 'running');
  process.kill(server.workerPid()!, 'SIGSTOP');
  return id;
}

describe('a worker that hangs', () => {
  it('is reported as unready and replaced, and its job is resumed', async () => {
    const id = await stopped();
    const pid = server.workerPid();
    const why = expect.stringMatching(/the worker (has not responded for|is not ready)/);
    try {
      await expect.poll(ready, { interval: 20, timeout: 5000 }).toEqual([503, why]);
    } catch (error) {
      process.kill(pid!, 'SIGCONT'); // so that pending calls settle
      throw error;
    }
    await (await fetch(`${server.url}/v1/jobs/${id}/events`)).text();
    expect(await get(id)).toMatchObject({ state: 'succeeded', restarts: 1 });
    expect(server.workerPid()).not.toBe(pid);
  });

  it('does not prevent its job from being cancelled', async () => {
    const id = await stopped();
    const pid = server.workerPid()!;
    const signal = AbortSignal.timeout(10_000);
    const state = await fetch(`${server.url}/v1/jobs/${id}`, { method: 'DELETE', signal })
      .then(async (response) => ((await response.json()) as JobView).state)
      .catch((error: Error) => {
        process.kill(pid, 'SIGCONT');
        return error.name;
      });
    expect(state).toBe('cancelled');
  });
});
