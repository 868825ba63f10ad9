import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPERATIONS, type OperationName } from '../../../server/contract/operations.js';
import type { Scope } from '../../../server/contract/scopes.js';
import { type FakeServer, fakeImage, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { type RawAnswer, rawRequest } from '../../support/raw.js';
import { bearer, makeToken } from '../../support/tokens.js';

const data = join(await testFolder(), 'data');
let server: FakeServer;
const tokens: Record<string, string> = {};
beforeAll(async () => {
  for (const scope of ['read', 'segment', 'train', 'admin'] as const)
    tokens[scope] = await makeToken(data, scope, [scope]);
  for (const name of ['alice', 'bob']) tokens[name] = await makeToken(data, name, ['segment']);
  server = await fakeServer(data, { reusesResults: true, responseCacheBytes: 1e6 });
});
afterAll(() => server?.close());

const JSON_TYPE = { 'content-type': 'application/json' };
const TUS = { 'tus-resumable': '1.0.0' };
const IMAGE = fakeImage(40, 30);

/** A request, but for its method and path. */
interface Sent {
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
}

/** What an operation shows of what others own. Every operation has a row: the compiler refuses a table without. */
type Row =
  /** Anybody may have it, without a token. */
  | 'public'
  /** The same for every caller that has the scope: it shows nothing of jobs and uploads. */
  | ({ readonly shared: string } & Sent)
  /** It makes something, which belongs to its caller: `ownership` tests what becomes of it. */
  | ({ readonly makes: string } & Sent)
  /** It lists what its caller may see. */
  | { readonly lists: string }
  /** It takes what somebody owns: for others it does not exist. */
  | ({ readonly of: 'job' | 'upload'; readonly query?: string } & Sent);

const TABLE: Record<OperationName, Row> = {
  segment: { makes: '/v1/segment?model=shapes', body: IMAGE },
  plan: { shared: '/v1/plan?model=shapes', body: IMAGE },
  createJob: { makes: '/v1/jobs?model=shapes', body: IMAGE },
  listJobs: { lists: '/v1/jobs' },
  getJob: { of: 'job' },
  deleteJob: { of: 'job' },
  resumeJob: { of: 'job' },
  followJob: { of: 'job' },
  getResult: { of: 'job' },
  getZarrFile: { of: 'job', query: 'labels.zarr/zarr.json' },
  getPreview: { of: 'job' },
  getImage: { of: 'job' },
  getMask: { of: 'job' },
  getImageTile: { of: 'job', query: '0/0_0.jpeg' },
  getMaskTile: { of: 'job', query: '0/0_0.png' },
  getUploadOptions: { shared: '/v1/uploads' },
  createUpload: { makes: '/v1/uploads', headers: { ...TUS, 'upload-length': '3' } },
  getUpload: { of: 'upload', headers: TUS },
  continueUpload: {
    of: 'upload',
    headers: { ...TUS, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' },
    body: 'abc',
  },
  deleteUpload: { of: 'upload', headers: TUS },
  listModels: { shared: '/v1/models' },
  getModel: { shared: '/v1/models/shapes' },
  getCurves: { shared: '/v1/models/shapes/curves.svg' },
  getMetrics: { shared: '/metrics' },
  getSession: { shared: '/v1/session' },
  signIn: { shared: '/v1/session' },
  signOut: 'public',
  listTokens: { shared: '/v1/tokens' },
  createToken: { shared: '/v1/tokens', headers: JSON_TYPE, body: '{"name":"made","scopes":["read"]}' },
  revokeToken: { shared: '/v1/tokens/none' },
  getLimits: { shared: '/v1/limits' },
  getPage: 'public',
  getIcon: 'public',
  getAsset: 'public',
  getClient: 'public',
  isLive: 'public',
  isReady: 'public',
  getInferenceServer: { shared: '/v2' },
  isInferenceLive: 'public',
  isInferenceReady: 'public',
  listInferenceModels: { shared: '/v2/models' },
  indexInferenceModels: { shared: '/v2/repository/index' },
  getInferenceModel: { shared: '/v2/models/shapes' },
  getInferenceModelVersion: { shared: '/v2/models/shapes/versions/1' },
  isInferenceModelReady: { shared: '/v2/models/shapes/ready' },
  isInferenceModelVersionReady: { shared: '/v2/models/shapes/versions/1/ready' },
  infer: { makes: '/v2/models/shapes/infer', body: '{}' },
  inferVersion: { makes: '/v2/models/shapes/versions/1/infer', body: '{}' },
  getContract: 'public',
  getDocs: 'public',
};

const NAMES = Object.keys(OPERATIONS) as OperationName[];
const rowsOf = (isWanted: (row: Row) => boolean) => NAMES.filter((name) => isWanted(TABLE[name]));

/** The address of an operation, with the id of something that is owned. */
function pathOf(name: OperationName, id: string): string {
  const row = TABLE[name];
  if (row === 'public')
    return OPERATIONS[name].path.replace('{file}', name === 'getClient' ? 'index.js' : 'page.css');
  if ('shared' in row) return row.shared;
  if ('makes' in row) return row.makes;
  if ('lists' in row) return row.lists;
  return OPERATIONS[name].path.replace('{id}', id).replace(/(?<=\/)\{.*$/, row.query ?? '');
}

function send(name: OperationName, token: string | null, id = ''): Promise<RawAnswer> {
  const row = TABLE[name];
  const { headers = {}, body = '' } = row === 'public' || 'lists' in row ? {} : row;
  const presented = token === null ? {} : bearer(tokens[token]!);
  const { method } = OPERATIONS[name];
  return rawRequest(
    `${server.url}${pathOf(name, id)}`,
    method.toUpperCase(),
    { ...headers, ...presented },
    body,
  );
}
const codeOf = ({ body }: RawAnswer) =>
  (JSON.parse(body) as { type: string }).type.replace('urn:unseam:problem:', '');

/** A job of a caller that has succeeded. */
async function jobOf(caller: string): Promise<string> {
  const { id } = JSON.parse((await send('createJob', caller)).body) as { id: string };
  await expect
    .poll(async () => JSON.parse((await send('getJob', caller, id)).body) as { state: string })
    .toMatchObject({ state: 'succeeded' });
  return id;
}
const uploadOf = async (caller: string): Promise<string> =>
  (await send('createUpload', caller)).headers.location!.replace('/v1/uploads/', '');

it('every operation has a row', () => {
  expect(Object.keys(TABLE).sort()).toEqual([...NAMES].sort());
});

describe('a request without a token', () => {
  it.each(rowsOf((row) => row !== 'public'))('is refused by %s', async (name) => {
    const answer = await send(name, null, randomUUID());
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, 'Bearer realm="unseam"']);
    if (OPERATIONS[name].method !== 'head') expect(codeOf(answer)).toBe('unauthorized');
  });

  it.each(rowsOf((row) => row === 'public'))('is served by %s', async (name) => {
    expect([200, 204]).toContain((await send(name, null)).status);
  });
});

describe('a token without the scope', () => {
  const lacking: Record<Scope, string[]> = {
    read: [],
    segment: ['read', 'train'],
    train: ['read', 'segment'],
    admin: ['read', 'segment', 'train'],
  };
  it.each(rowsOf((row) => row !== 'public'))('is refused by %s', async (name) => {
    const scope = OPERATIONS[name].scope!;
    for (const caller of lacking[scope]) {
      const answer = await send(name, caller, randomUUID());
      expect([caller, answer.status]).toEqual([caller, 403]);
      expect(answer.headers['www-authenticate']).toBe(
        `Bearer realm="unseam", error="insufficient_scope", scope="${scope}"`,
      );
    }
    for (const caller of [scope, 'admin'])
      expect([401, 403]).not.toContain((await send(name, caller, randomUUID())).status);
  });
});

describe('what belongs to another token does not exist', () => {
  it.each(rowsOf((row) => typeof row === 'object' && 'of' in row))('for %s', async (name) => {
    const isJob = (TABLE[name] as { of: string }).of === 'job';
    const id = await (isJob ? jobOf('alice') : uploadOf('alice'));
    const none = isJob ? randomUUID() : randomUUID().replaceAll('-', '');

    const [hidden, absent] = [await send(name, 'bob', id), await send(name, 'bob', none)];
    expect(hidden.status).toBe(404);
    const shape = ({
      status,
      headers: { date: _, etag: __, 'x-request-id': ___, ...headers },
      body,
    }: RawAnswer) => ({
      status,
      headers,
      body,
    });
    expect(JSON.parse(JSON.stringify(shape(hidden)).replaceAll(id, none))).toEqual(shape(absent));

    const own = await send(name, 'alice', id);
    // The job has ended: it cannot be resumed, and has no preview. Its results are bytes, and no archive of files.
    const isRefused = ['getPreview', 'resumeJob', 'getZarrFile'].includes(name);
    expect(own.status < 300 || (isRefused && own.body !== hidden.body)).toBe(true);
  });

  it.each(rowsOf((row) => typeof row === 'object' && 'lists' in row))('for %s', async (name) => {
    const id = await jobOf('alice');
    for (const [caller, isSeen] of [
      ['alice', true],
      ['bob', false],
      ['read', false],
      ['admin', true],
    ] as const) {
      const { body } = await send(name, caller);
      expect([caller, body.includes(id)]).toEqual([caller, isSeen]);
    }
  });

  it('for an admin it does', async () => {
    const id = await jobOf('alice');
    expect((await send('getResult', 'admin', id)).status).toBe(200);
    expect(JSON.parse((await send('getJob', 'admin', id)).body)).toMatchObject({
      id,
      owner: expect.stringMatching(/^token:/),
    });
    expect((await send('deleteJob', 'admin', id)).status).toBe(204);
    expect((await send('getJob', 'alice', id)).status).toBe(404);
  });
});
