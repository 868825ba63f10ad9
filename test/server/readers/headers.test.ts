import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import type { RunningServer } from '../../../server/serve.js';
import { testFolder } from '../../support/files.js';
import { testServer, unseamHere } from '../../support/product.js';
import { writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
const data = join(folder, 'data');
let server: RunningServer;
let slide: Uint8Array<ArrayBuffer>;
let attack: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  await unseamHere(['samples', '-o', folder, '-s', '500x400', '-n', '1']);
  slide = new Uint8Array(await readFile(join(folder, 'images', 'shapes-0001.png')));
  const path = join(folder, 'attack.tif');
  const description = '<OME><Image><Pixels SizeC="1000000000"><TiffData IFD="0"/></Pixels></Image></OME>';
  await writeTestTiff(
    path,
    { width: 1, height: 1, channels: 1, data: new Uint8Array(1) },
    { compression: 1, description },
  );
  attack = new Uint8Array(await readFile(path));
  const limits = { readers: { headerMs: 3000 } };
  server = await testServer(data, { ...limits });
});
afterAll(() => server?.close());

const post = (path: string, body: Uint8Array<ArrayBuffer>, signal: AbortSignal | null = null) =>
  fetch(`${server.url}${path}`, { method: 'POST', body, signal });
const codeOf = async (response: Response) => ((await response.json()) as { type: string }).type;
const ended = async (id: string): Promise<JobView> => {
  await (await fetch(`${server.url}/v1/jobs/${id}/events`)).text();
  return (await fetch(`${server.url}/v1/jobs/${id}`)).json() as Promise<JobView>;
};
const sha = (bytes: ArrayBuffer) => createHash('sha256').update(Buffer.from(bytes)).digest('hex');
const plain = (body: Uint8Array<ArrayBuffer>) =>
  fetch(`${server.url}/v1/segment?model=em-membrane`, {
    method: 'POST',
    body,
    headers: { accept: 'image/tiff' },
  });

describe('headers', () => {
  it('are read outside the worker: a suspended worker does not delay them', async () => {
    const worker = server.workerPid()!;
    process.kill(worker, 'SIGSTOP');
    const cut = slide.slice(0, 20); // a PNG that ends in its header
    const code = await post('/v1/jobs?model=shapes', cut, AbortSignal.timeout(10_000))
      .then(codeOf, ({ name }: Error) => name)
      .finally(() => process.kill(worker, 'SIGCONT'));
    expect(code).toMatch(/corrupt-image/);
  });
});

describe('a header that declares more than the file contains', () => {
  it('fails only its own request: a concurrent job succeeds with the right bytes', async () => {
    const expected = sha(await (await plain(slide)).arrayBuffer());
    const worker = server.workerPid();
    const { id } = (await (await post('/v1/jobs?model=em-membrane&tile=124', slide)).json()) as JobView;
    const codes = [1, 2, 3].map(() =>
      post('/v1/jobs?model=shapes', attack, AbortSignal.timeout(40_000)).then(codeOf, ({ name }) => name),
    );
    for (const code of await Promise.all(codes)) expect(code).toMatch(/corrupt-image|unsupported-image/);
    const job = await ended(id);
    expect(job).toMatchObject({ state: 'succeeded', restarts: 0 });
    expect(server.workerPid()).toBe(worker);
    const result = await fetch(`${server.url}${job.results[0]!.href}`);
    expect(sha(await result.arrayBuffer())).toBe(expected);
    expect(await readdir(join(data, 'jobs'))).toEqual([id]);
  });
});

describe('a header whose reading hangs', () => {
  it('times out, and its process is replaced', async () => {
    const worker = server.workerPid();
    expect((await post('/v1/plan?model=shapes', slide)).status).toBe(200);
    const stopped = server.headerPids();
    for (const pid of stopped) process.kill(pid, 'SIGSTOP');
    const codes = stopped.map(() =>
      post('/v1/jobs?model=shapes', slide, AbortSignal.timeout(20_000)).then(codeOf, ({ name }) => name),
    );
    for (const code of await Promise.all(codes)) expect(code).toMatch(/corrupt-image/);
    expect((await post('/v1/plan?model=shapes', slide)).status).toBe(200);
    expect(server.workerPid()).toBe(worker);
    expect(server.headerPids()).not.toEqual(expect.arrayContaining([...stopped]));
  });
});
