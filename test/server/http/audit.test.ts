import { readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditEntry, openAudit } from '../../../server/access/audit.js';
import { type FakeServer, fakeImage, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { serverProcess, unseam } from '../../support/product.js';
import { bearer, makeToken } from '../../support/tokens.js';

const folder = await testFolder();
const data = join(folder, 'data');
const file = join(folder, 'audit.jsonl');
let server: FakeServer;
let ada: string;
let reader: string;
beforeAll(async () => {
  [ada, reader] = [await makeToken(data, 'ada', ['segment']), await makeToken(data, 'reader', ['read'])];
  server = await fakeServer(data, { audit: openAudit(file, () => {}), keepMs: 1000 });
});
afterAll(() => server?.close());

type Line = AuditEntry & { readonly time: string };
const lines = async (path = file): Promise<Line[]> =>
  (await readFile(path, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
const send = (token: string | null, method: string, path: string, init: RequestInit = {}) =>
  fetch(`${server.url}${path}`, {
    method,
    ...init,
    headers: { ...(init.headers as Record<string, string>), ...(token === null ? {} : bearer(token)) },
  });

describe('a line of the audit log', () => {
  it('says who did what to what, when, from where, and how it ended', async () => {
    const created = await send(ada, 'POST', '/v1/jobs?model=shapes', {
      body: new Uint8Array(fakeImage(40, 30)),
      headers: { 'x-request-id': 'trace-7' },
    });
    const { id, owner } = (await created.json()) as { id: string; owner: string };
    expect(created.headers.get('x-request-id')).toBe('trace-7');
    await expect.poll(async () => (await lines()).length).toBe(1);
    expect(await lines()).toEqual([
      {
        time: expect.stringMatching(/^20\d\d-.*Z$/),
        audit: 'createJob',
        who: owner,
        name: 'ada',
        target: id,
        status: 202,
        request: 'trace-7',
        remote: '127.0.0.1',
      },
    ]);
  });

  it('is written for what was refused, too, and for nothing that only reads', async () => {
    const before = (await lines()).length;
    for (const path of ['/v1/plan?model=none', '/v2/repository/index']) await send(ada, 'POST', path);
    await send(null, 'DELETE', '/v1/jobs/1');
    await send(reader, 'DELETE', '/v1/jobs/2');
    await send(ada, 'DELETE', '/v1/jobs/3%0a4');
    for (const path of ['/v1/jobs', '/v1/models', '/metrics', '/']) await send(ada, 'GET', path);
    await expect
      .poll(async () =>
        (await lines()).slice(before).map((line) => [line.who !== null, line.target, line.status]),
      )
      .toEqual([
        [false, '1', 401],
        [true, '2', 403],
        [true, null, 404],
      ]);
  });

  it('names the upload that was changed, whatever else its address has', async () => {
    const tus = { 'tus-resumable': '1.0.0' };
    const { headers } = await send(ada, 'POST', '/v1/uploads', { headers: { ...tus, 'upload-length': '3' } });
    const upload = headers.get('location')!;
    const [id] = upload.split('/').slice(-1);
    const before = (await lines()).length;
    const statuses: number[] = [];
    for (const path of [`/v1/uploads/innocent?x=/${id}`, `${upload}?x=/innocent`])
      statuses.push((await send(ada, 'DELETE', path, { headers: tus })).status);
    expect(statuses).toEqual([404, 204]);
    await expect
      .poll(async () => (await lines()).slice(before).map(({ target, status }) => [target, status]))
      .toEqual([
        ['innocent', 404],
        [id, 204],
      ]);
  });

  it('has no secret and no name of a file', async () => {
    const { headers } = await send(ada, 'POST', '/v1/uploads', {
      headers: {
        'tus-resumable': '1.0.0',
        'upload-length': '3',
        'upload-metadata': `filename ${btoa('marker.svs')}`,
      },
    });
    await send(ada, 'DELETE', headers.get('location')!, { headers: { 'tus-resumable': '1.0.0' } });
    await send(ada, 'POST', '/v1/session');
    await expect.poll(async () => (await lines()).at(-1)?.audit).toBe('signIn');
    const text = await readFile(file, 'utf8');
    expect(text).toContain('"deleteUpload"');
    for (const secret of [ada.slice(20), 'marker', btoa('marker')]) expect(text).not.toContain(secret);
  });

  it('goes to a new file when the old one was renamed, for its user alone', async () => {
    await rename(file, `${file}.1`);
    await send(ada, 'DELETE', '/v1/session');
    await expect.poll(() => lines().catch(() => [])).toMatchObject([{ audit: 'signOut', status: 204 }]);
    if (process.platform !== 'win32') expect((await stat(file)).mode & 0o077).toBe(0);
  });
});

it('the server goes on where the audit log cannot be written, and does not start where it could not from the start', async () => {
  const failures: unknown[] = [];
  const path = join(folder, 'gone', 'audit.jsonl');
  expect(() => openAudit(path, () => {})).toThrow(/--audit: .* cannot be written \(ENOENT\)/);
  const audit = openAudit(
    join(folder, 'one.jsonl'),
    (error) => failures.push(error),
    () => {
      throw new Error('no clock');
    },
  );
  audit({ audit: 'createJob', who: null, target: null });
  expect(failures).toHaveLength(1);
});

it('goes to the standard output, whatever the level of the log; what the command line does, to a file', async () => {
  const own = join(folder, 'own');
  const audit = join(folder, 'cli.jsonl');
  const made = await unseam([
    'tokens',
    'create',
    '--data',
    own,
    '--name',
    'ops',
    '--scope',
    'admin',
    '--audit',
    audit,
  ]);
  expect(await lines(audit)).toMatchObject([
    { audit: 'createToken', who: expect.stringMatching(/^cli:/), token: { name: 'ops', scopes: ['admin'] } },
  ]);
  const running = await serverProcess(own);
  let output = '';
  running.process.stdout!.on('data', (chunk) => (output += chunk));
  await fetch(`${running.url}/v1/tokens`, {
    method: 'POST',
    headers: { ...bearer(made.stdout.trim()), 'content-type': 'application/json' },
    body: '{"name":"other","scopes":["read"]}',
  });
  await expect.poll(() => output).toMatch(/"audit":"createToken","who":"token:\w{12}","name":"ops"/);
  running.process.kill('SIGKILL');
  await running.exit;
});

it('tells of jobs that the server removes because their time is up', async () => {
  const own = join(folder, 'expiry');
  const first = await fakeServer(own);
  const made = await fetch(`${first.url}/v1/jobs?model=shapes`, {
    method: 'POST',
    body: new Uint8Array(fakeImage(8, 8)),
  });
  const { id } = (await made.json()) as { id: string };
  await expect.poll(async () => (await fetch(`${first.url}/v1/jobs/${id}/result`)).status).toBe(200);
  await first.close();
  const entries: AuditEntry[] = [];
  const second = await fakeServer(own, { keepMs: 1, audit: (entry) => entries.push(entry) });
  await expect.poll(() => entries).toEqual([{ audit: 'expireJob', who: 'server', target: id }]);
  await second.close();
});

it('tells of uploads that the server removes because nothing more has arrived', async () => {
  const own = join(folder, 'abandoned');
  const first = await fakeServer(own);
  const { headers } = await fetch(`${first.url}/v1/uploads`, {
    method: 'POST',
    headers: { 'tus-resumable': '1.0.0', 'upload-length': '3' },
  });
  await first.close();
  const entries: AuditEntry[] = [];
  const second = await fakeServer(own, { keepMs: 1, audit: (entry) => entries.push(entry) });
  const target = headers.get('location')!.split('/').at(-1);
  await expect.poll(() => entries).toEqual([{ audit: 'expireUpload', who: 'server', target }]);
  await second.close();
});
