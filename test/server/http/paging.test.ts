import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FakeServer, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';

const FORMS = fileURLToPath(new URL('../../../../test/forms/data-1/jobs', import.meta.url));
const data = join(await testFolder(), 'data');
const COUNT = 9;
let server: FakeServer;
/** Ids of the jobs, newest first; three have the same time. */
const ids = Array.from({ length: COUNT }, (_, i) => `00000000-0000-4000-8000-00000000000${COUNT - i}`);

beforeAll(async () => {
  const now = Date.now();
  const [some] = await readdir(FORMS);
  const record = JSON.parse(await readFile(join(FORMS, some!, 'job.json'), 'utf8'));
  for (const [i, id] of ids.entries()) {
    const createdAt = new Date(now - 1000 * Math.floor(i / 3)).toISOString();
    const times = { createdAt, startedAt: createdAt, finishedAt: createdAt };
    await mkdir(join(data, 'jobs', id), { recursive: true });
    const ended = { ...record, ...times, id, state: 'cancelled', receipt: null };
    await writeFile(join(data, 'jobs', id, 'job.json'), JSON.stringify(ended));
  }
  server = await fakeServer(data);
});
afterAll(() => server?.close());

const page = async (query: string) => {
  const response = await fetch(`${server.url}/v1/jobs?${query}`);
  const answer = (await response.json()) as { jobs?: { id: string }[]; next?: string; detail?: string };
  return { ...answer, status: response.status, ids: answer.jobs?.map(({ id }) => id) };
};

it('an unknown cursor is refused instead of restarting from the first page', async () => {
  expect((await page(`after=${ids[3]}`)).ids).toEqual(ids.slice(4));
  for (const after of ['none', '00000000-0000-4000-8000-0000000000ff', '2026_x']) {
    const { status, detail } = await page(`after=${after}`);
    expect([status, detail]).toEqual([404, expect.stringMatching(/"after".*no job/)]);
  }
  expect(await page('after=2026-05-04')).toMatchObject({ status: 404 });
  expect(await page('after=')).toMatchObject({
    status: 400,
    detail: expect.stringMatching(/must be the "next"/),
  });
});

it('paging continues after the job of its cursor has been deleted', async () => {
  const first = await page('limit=4');
  expect(first.ids).toEqual(ids.slice(0, 4));
  expect((await fetch(`${server.url}/v1/jobs/${ids[3]}`, { method: 'DELETE' })).status).toBe(204);
  const second = await page(`limit=4&after=${first.next}`);
  expect(second.ids).toEqual(ids.slice(4, 8));
  expect((await page(`limit=4&after=${second.next}`)).ids).toEqual(ids.slice(8));
});
