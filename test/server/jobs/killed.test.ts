import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import { testFolder } from '../../support/files.js';
import { serverProcess } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';

const data = await testFolder();
let server: Awaited<ReturnType<typeof serverProcess>>;
afterAll(() => server?.process.kill('SIGKILL'));

/** Kills a server and all its processes at once, like the end of its container. */
async function killAll(): Promise<void> {
  const { pid } = server.process;
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  for (const each of [pid!, ...children.trim().split(' ').map(Number)]) process.kill(each, 'SIGKILL');
  await server.exit;
}

it.runIf(process.platform === 'linux')(
  'a job that repeatedly kills its container fails, by the strikes in its record',
  async () => {
    const { data: gray, ...raw } = pattern(2000, 1500);
    const png = await sharp(Buffer.from(gray.buffer), { raw: { ...raw, channels: 1 } })
      .png()
      .toBuffer();
    server = await serverProcess(data);
    // One tile: no band is finished early, so that the job makes no durable progress.
    const response = await fetch(`${server.url}/v1/jobs?model=em-membrane&tile=whole`, {
      method: 'POST',
      body: new Uint8Array(png),
    });
    const { id } = (await response.json()) as JobView;
    const path = join(data, 'jobs', id, 'job.json');
    const record = async () => JSON.parse(await readFile(path, 'utf8')) as JobView & { strikes: number };
    const isRunning = async (strikes: number) =>
      expect
        .poll(async () => [(await record()).state, (await record()).strikes], {
          timeout: 20_000,
          interval: 10,
        })
        .toEqual(['running', strikes]);
    await isRunning(0);
    await killAll();
    // Simulates two more kills, each of which takes a second.
    await writeFile(path, JSON.stringify({ ...(await record()), strikes: 2 }));
    server = await serverProcess(data);
    // The cause of the first kill is unknown: the job runs alone, and a strike is recorded before it starts.
    await isRunning(3);
    await killAll();
    server = await serverProcess(data);
    const events = await (await fetch(`${server.url}/v1/jobs/${id}/events`)).text();
    expect(events).toMatch(/"state":"failed"/);
    expect(((await (await fetch(`${server.url}/v1/jobs/${id}`)).json()) as JobView).error).toEqual({
      code: 'worker-killer',
      detail: 'the worker crashed 3 times while it ran this job: it is not retried',
    });
  },
);
