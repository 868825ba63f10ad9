import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TokenStore } from '../../../server/access/token-store.js';
import { type FakeServer, fakeImage, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { bearer, makeToken } from '../../support/tokens.js';

const folder = await testFolder();
const data = join(folder, 'data');
const options = { reusesResults: true, responseCacheBytes: 1e6, slides: folder };
let server: FakeServer;
let alice: string;
let bob: string;
let admin: string;
beforeAll(async () => {
  [alice, bob] = [await makeToken(data, 'alice'), await makeToken(data, 'bob')];
  admin = await makeToken(data, 'admin', ['admin']);
  server = await fakeServer(data, options);
  await writeFile(join(folder, 'slide.png'), fakeImage(64, 48));
});
afterAll(() => server?.close());

const send = (token: string, path: string, init: RequestInit & { headers?: Record<string, string> } = {}) =>
  fetch(`${server.url}${path}`, { ...init, headers: { ...init.headers, ...bearer(token) } });
const image = () => new Uint8Array(fakeImage(40, 30));
const createJob = (token: string, source: object, headers: Record<string, string> = {}) =>
  send(token, '/v1/jobs', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'shapes', source }),
  });
const idOf = async (response: Response) => ((await response.json()) as { id: string }).id;
const TUS = { 'tus-resumable': '1.0.0' };

/** Uploads an image; `metadata` is what the client says of it. */
async function upload(token: string, metadata = 'filename c2xpZGUucG5n'): Promise<string> {
  const bytes = image();
  const headers = { ...TUS, 'upload-length': String(bytes.length), 'upload-metadata': metadata };
  const { headers: made } = await send(token, '/v1/uploads', { method: 'POST', headers });
  const address = made.get('location')!;
  await send(token, address, {
    method: 'PATCH',
    headers: { ...TUS, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' },
    body: bytes,
  });
  return address;
}

describe('an upload', () => {
  it('becomes a job of its owner alone', async () => {
    const address = await upload(alice);
    const refused = await createJob(bob, { upload: address });
    const absent = await createJob(bob, { upload: `/v1/uploads/${'0'.repeat(32)}` });
    expect([refused.status, absent.status]).toEqual([404, 404]);
    const [hidden, none] = [await refused.text(), await absent.text()];
    expect(hidden.replace(address, '')).toBe(none.replace(`/v1/uploads/${'0'.repeat(32)}`, ''));
    expect((await createJob(alice, { upload: address })).status).toBe(202);
  });

  it('stays that of its owner when the server restarts, whatever its client says', async () => {
    const mine = await send(bob, '/v1/session');
    const { id } = (await mine.json()) as { id: string };
    const said = `owner ${btoa(id)},filename c2xpZGUucG5n`;
    const address = await upload(alice, said);
    await server.close();
    server = await fakeServer(data, options);
    expect((await send(bob, address, { method: 'HEAD', headers: TUS })).status).toBe(404);
    expect((await send(bob, address, { method: 'DELETE', headers: TUS })).status).toBe(404);
    const own = await send(alice, address, { method: 'HEAD', headers: TUS });
    expect([own.status, own.headers.get('upload-metadata')]).toEqual([200, said]);
    expect((await send(alice, address, { method: 'DELETE', headers: TUS })).status).toBe(204);
  });

  it('has one name: that of its record is no upload', async () => {
    const address = await upload(alice);
    for (const name of [`${address}.json`, `${address}%2ejson`, '/v1/uploads/..%2f..%2fjobs'])
      expect([name, (await send(alice, name, { method: 'DELETE', headers: TUS })).status]).toEqual([
        name,
        404,
      ]);
    expect((await send(alice, address, { method: 'HEAD', headers: TUS })).status).toBe(200);
  });
});

it("an Idempotency-Key is its owner's: others may have the same", async () => {
  const create = (token: string) => createJob(token, { path: 'slide.png' }, { 'idempotency-key': 'k' });
  const [first, second, third] = [await create(alice), await create(bob), await create(alice)];
  expect([first.status, second.status, third.status]).toEqual([202, 202, 202]);
  expect(third.headers.get('idempotent-replayed')).toBe('true');
  const ids = [await idOf(first), await idOf(second), await idOf(third)];
  expect([ids[0] === ids[1], ids[0] === ids[2]]).toEqual([false, true]);
  expect((await create(admin)).headers.get('idempotent-replayed')).toBeNull();
});

it('results are not reused for another owner, who would learn of them', async () => {
  const post = async (token: string, path: string) =>
    (await send(token, `${path}?model=shapes`, { method: 'POST', body: image() })).headers.get(
      'cache-status',
    );
  for (const path of ['/v1/segment', '/v1/jobs']) {
    await post(alice, path);
    await expect.poll(() => post(alice, path)).toBe('unseam; hit');
    expect(await post(bob, path)).toBe('unseam; fwd=miss');
    expect(await post(admin, path)).toBe('unseam; fwd=miss');
  }
});

describe('a token for a part of the folder of slides', () => {
  it('reads no other part, by no path', async () => {
    for (const lab of ['lab-a', 'lab-b', 'lab-a2']) {
      await mkdir(join(folder, lab), { recursive: true });
      await writeFile(join(folder, lab, 'slide.png'), image());
    }
    await symlink(join('..', 'lab-b', 'slide.png'), join(folder, 'lab-a', 'link.png'));
    const { text } = await new TokenStore(data).create({
      ...{ name: 'lab a', scopes: ['segment'], lifetimeMs: null },
      slides: 'lab-a',
    });
    const status = async (path: string, more: object = {}) => {
      const body = JSON.stringify({ model: 'shapes', source: { path }, ...more });
      const headers = { 'content-type': 'application/json' };
      return (await send(text, '/v1/jobs', { method: 'POST', headers, body })).status;
    };
    expect(await status('lab-a/slide.png')).toBe(202);
    expect(await status(join(folder, 'lab-a', 'slide.png'))).toBe(202);
    for (const path of [
      ...['lab-b/slide.png', 'lab-a2/slide.png', 'slide.png', 'lab-a/../lab-b/slide.png', 'lab-a/link.png'],
      join(folder, 'lab-b', 'slide.png'),
    ]) {
      expect([path, await status(path)]).toEqual([path, 404]);
    }
    expect(await status('lab-a/slide.png', { 'skip-background': 'lab-b/slide.png' })).toBe(404);
  });

  it('is refused where its part is outside of the folder', async () => {
    const make = (slides: string) =>
      send(admin, '/v1/tokens', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'b', scopes: ['read'], slides }),
      });
    for (const slides of ['..', '../other', 'a/../../b', '/etc', '', 'a\\b'])
      expect([slides, (await make(slides)).status]).toEqual([slides, 400]);
    const made = await make('lab-a');
    expect([made.status, await made.json()]).toMatchObject([201, { slides: 'lab-a' }]);
  });
});

it('the owners of jobs survive a restart', async () => {
  const id = await idOf(await createJob(alice, { path: 'slide.png' }));
  await server.close();
  server = await fakeServer(data, options);
  const status = async (token: string) => (await send(token, `/v1/jobs/${id}`)).status;
  expect([await status(alice), await status(bob), await status(admin)]).toEqual([200, 404, 200]);
});

describe('what was made before there were tokens', () => {
  it('is seen by admins, and by everyone where --open serves them', async () => {
    const early = join(folder, 'early');
    const open = await fakeServer(early, { slides: folder });
    const made = await fetch(`${open.url}/v1/jobs?model=shapes`, { method: 'POST', body: image() });
    const { id } = (await made.json()) as { id: string };
    const late = await makeToken(early, 'late');
    const chief = await makeToken(early, 'chief', ['admin']);
    const status = async (url: string, token?: string) =>
      (await fetch(`${url}/v1/jobs/${id}`, token ? { headers: bearer(token) } : {})).status;
    expect([await status(open.url), await status(open.url, late), await status(open.url, chief)]).toEqual([
      401, 404, 200,
    ]);
    const own = await fetch(`${open.url}/v1/jobs?model=shapes`, {
      method: 'POST',
      body: image(),
      headers: bearer(late),
    });
    await open.close();

    const opened = await fakeServer(early, { isOpen: true });
    expect(await status(opened.url)).toBe(200);
    // Tokens still stand for who has them, and what is theirs is theirs.
    const { id: hidden } = (await own.json()) as { id: string };
    const ownStatus = async (headers = {}) =>
      (await fetch(`${opened.url}/v1/jobs/${hidden}`, { headers })).status;
    expect([await ownStatus(), await ownStatus(bearer(late))]).toEqual([404, 200]);
    expect((await fetch(`${opened.url}/v1/models`, { headers: bearer('unseam_no') })).status).toBe(401);
    await opened.close();
  });
});
