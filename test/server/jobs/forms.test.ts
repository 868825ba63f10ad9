import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import { JobStore } from '../../../server/jobs/store.js';
import type { RunningServer } from '../../../server/serve.js';
import { fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { testServer } from '../../support/product.js';

/** A data folder of version 0.1 after a SIGKILL: records and journals of format version 1. */
const FORM_1 = fileURLToPath(new URL('../../../../test/forms/data-1', import.meta.url));
const SUCCEEDED = '42cb1da3-227a-4e04-92b0-91e86248f60c';
const RUNNING = '508a6696-06cf-4a90-8fe5-b8438df000ce';
const QUEUED = '91ad8031-b5af-41c7-b974-7cca9d4d144a';
/** Unreadable records, in a separate folder. */
const TORN = '00000000-0000-4000-8000-000000000001';
const FOLDER = '00000000-0000-4000-8000-000000000002';
const NEWER = '00000000-0000-4000-8000-000000000003';
const WRONG = '00000000-0000-4000-8000-000000000004';

const root = await testFolder();
const [data, broken] = [join(root, 'data'), join(root, 'broken')];
const folderOf = (id: string, of = broken) => join(of, 'jobs', id);
/** Servers on the two folders. */
let server: RunningServer | Error;
let wary: RunningServer | Error;

beforeAll(async () => {
  await cp(FORM_1, data, { recursive: true });
  // Journals are bound to the mtime of their image, which a checkout does not preserve: in fractions of a second that
  // Node's `utimes` cannot represent.
  const bands = await readFile(join(folderOf(RUNNING, data), 'bands'), 'latin1');
  const [, seconds, parts] = /"changed":(\d+)(\d{3}\.\d+)/.exec(bands)!;
  const time = `@${seconds}.${parts!.replace('.', '')}`;
  execFileSync('touch', ['-d', time, join(folderOf(RUNNING, data), 'upload')]);
  const record = JSON.parse(await readFile(join(folderOf(SUCCEEDED, data), 'job.json'), 'utf8')) as object;
  for (const id of [TORN, FOLDER, NEWER, WRONG]) {
    await mkdir(folderOf(id), { recursive: true });
    await writeFile(join(folderOf(id), 'upload'), 'an hour of upload');
  }
  await writeFile(join(folderOf(TORN), 'job.json'), '{"id":"');
  await mkdir(join(folderOf(FOLDER), 'job.json'));
  await writeFile(join(folderOf(NEWER), 'job.json'), JSON.stringify({ ...record, id: NEWER, form: 99 }));
  await writeFile(
    join(folderOf(WRONG), 'job.json'),
    JSON.stringify({ ...record, id: WRONG, state: 'dormant' }),
  );
  // Its jobs ended long ago.
  server = await testServer(data, { keepMs: Number.POSITIVE_INFINITY }).catch((error: Error) => error);
  wary = await fakeServer(broken).catch((error: Error) => error);
});
afterAll(async () => {
  for (const each of [server, wary]) if (!(each instanceof Error)) await each.close();
});

const asking =
  (of: () => RunningServer | Error) =>
  (path: string, init?: RequestInit): Promise<Response> => {
    const running = of();
    expect(running).not.toBeInstanceOf(Error);
    return fetch(`${(running as RunningServer).url}${path}`, init);
  };
const ask = asking(() => server);
const askWary = asking(() => wary);
const bytes = async (response: Response) => Buffer.from(await response.arrayBuffer());
const ended = async (id: string): Promise<JobView> => {
  await (await ask(`/v1/jobs/${id}/events`)).text();
  return (await (await ask(`/v1/jobs/${id}`)).json()) as JobView;
};

describe('a data folder of an earlier version', () => {
  it('opens', () => {
    expect(server).not.toBeInstanceOf(Error);
  });

  it('still serves its results', async () => {
    const result = await ask(`/v1/jobs/${SUCCEEDED}/result`);
    const kept = await readFile(join(FORM_1, 'jobs', SUCCEEDED, 'labels.tif'));
    expect((await bytes(result)).equals(kept)).toBe(true);
  });

  it('resumes queued and running jobs, with the right bytes', async () => {
    const interrupted = await ended(RUNNING);
    expect([interrupted.state, (await ended(QUEUED)).state]).toEqual(['succeeded', 'succeeded']);
    // Its journal does not state the versions and the processor of its bands: they are discarded.
    expect(interrupted.progress!.tilesReplayed).toBe(0);
    expect(interrupted.receipt).toMatchObject({
      warnings: [
        expect.stringMatching(/^the job started over: .*journal of format version 1, from an earlier unseam/),
      ],
    });
    const once = await ask('/v1/segment?model=em-membrane', {
      method: 'POST',
      body: new Uint8Array(await readFile(join(FORM_1, 'jobs', RUNNING, 'upload'))),
      headers: { accept: 'image/tiff' },
    }).then(bytes);
    const result = await bytes(await ask(`/v1/jobs/${RUNNING}/result?output=labels&format=tiff`));
    expect(result.equals(once)).toBe(true);
    expect(JSON.parse(await readFile(join(folderOf(RUNNING, data), 'job.json'), 'utf8'))).toMatchObject({
      form: 2,
    });
  });
});

describe('an unreadable record', () => {
  it('does not prevent the server from starting', () => {
    expect(wary).not.toBeInstanceOf(Error);
  });

  it('preserves its job: only a folder without a record is removed', async () => {
    const another = join(root, 'another');
    const [unreadable, none] = [join(another, 'jobs', FOLDER), join(another, 'jobs', NEWER)];
    await mkdir(join(unreadable, 'job.json'), { recursive: true });
    await mkdir(none);
    await JobStore.open(another);
    expect([existsSync(unreadable), existsSync(none)]).toEqual([true, false]);
    const uploads = [TORN, FOLDER, NEWER, WRONG].map((id) => existsSync(join(folderOf(id), 'upload')));
    expect(uploads).toEqual([true, true, true, true]);
  });

  it('is reported with its reason in the list, in the metrics and at the URL of its job', async () => {
    const { unreadable } = (await (await askWary('/v1/jobs')).json()) as {
      unreadable: { id: string; reason: string }[];
    };
    expect(Object.fromEntries(unreadable.map(({ id, reason }) => [id, reason]))).toEqual({
      [TORN]: 'its job.json is not valid JSON',
      [FOLDER]: 'its job.json cannot be read (EISDIR)',
      [NEWER]: 'its job.json has format version 99, of a newer unseam; this one reads versions 1 to 2',
      [WRONG]: expect.stringMatching(/^its job.json is invalid: "state"/),
    });
    expect(await (await askWary('/metrics')).text()).toMatch(/^unseam_jobs\{state="unreadable"\} 4$/m);
    const one = await askWary(`/v1/jobs/${NEWER}`);
    expect([one.status, ((await one.json()) as { type: string }).type]).toEqual([
      500,
      'urn:unseam:problem:unreadable-record',
    ]);
  });

  it('is removed only by a DELETE request', async () => {
    expect((await askWary(`/v1/jobs/${TORN}`, { method: 'DELETE' })).status).toBe(204);
    expect(existsSync(folderOf(TORN))).toBe(false);
    expect((await askWary(`/v1/jobs/${TORN}`)).status).toBe(404);
  });
});
