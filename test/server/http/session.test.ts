import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeServer, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { rawRequest } from '../../support/raw.js';
import { bearer, makeToken } from '../../support/tokens.js';

const data = join(await testFolder(), 'data');
let server: FakeServer;
let token: string;
beforeAll(async () => {
  token = await makeToken(data, 'ada', ['segment']);
  server = await fakeServer(data);
});
afterAll(() => server?.close());

const send = (method: string, path: string, headers: Record<string, string> = {}, body = '') =>
  rawRequest(`${server.url}${path}`, method, headers, body);
const signIn = (headers: Record<string, string> = {}) =>
  send('POST', '/v1/session', { ...bearer(token), ...headers });

describe('a page', () => {
  it('signs in with a token, which becomes a cookie that no script reads and no other site sends', async () => {
    const answer = await signIn();
    expect(answer.headers['set-cookie']).toEqual([`unseam=${token}; Path=/; HttpOnly; SameSite=Strict`]);
    expect(JSON.parse(answer.body)).toMatchObject({ name: 'ada', scopes: ['segment'], needsToken: true });
    expect((await send('GET', '/v1/jobs', { cookie: `theme=dark; unseam=${token}` })).status).toBe(200);
  });

  it('has a cookie that only TLS carries, behind a proxy that speaks it', async () => {
    const answer = await signIn({ origin: 'https://unseam.lab', 'sec-fetch-site': 'same-origin' });
    expect(answer.headers['set-cookie']).toEqual([
      `__Host-unseam=${token}; Path=/; HttpOnly; SameSite=Strict; Secure`,
    ]);
    expect((await send('GET', '/v1/jobs', { cookie: `__Host-unseam=${token}` })).status).toBe(200);
  });

  it('signs out', async () => {
    const { status, headers } = await send('DELETE', '/v1/session', { cookie: `unseam=${token}` });
    expect([status, headers['set-cookie']]).toEqual([
      204,
      ['unseam=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0'],
    ]);
    const secure = await send('DELETE', '/v1/session', {
      origin: 'https://unseam.lab',
      'sec-fetch-site': 'same-origin',
    });
    expect(secure.headers['set-cookie']).toEqual([
      '__Host-unseam=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0',
      'unseam=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0',
    ]);
  });

  it('of another site changes nothing with the cookie', async () => {
    for (const headers of [{ origin: 'http://attacker.example' }, { 'sec-fetch-site': 'same-site' }]) {
      const answer = await send('POST', '/v1/jobs?model=shapes', { cookie: `unseam=${token}`, ...headers });
      expect(answer.status).toBe(403);
      expect(answer.body).toContain('foreign-origin');
      expect((await signIn(headers)).status).toBe(403);
    }
  });
});

it('a cookie that is of no use is none, where no token is needed', async () => {
  const open = await fakeServer(`${data}-open`);
  const cookie = `unseam=${token}`;
  expect((await fetch(`${open.url}/v1/jobs`, { headers: { cookie } })).status).toBe(200);
  expect((await fetch(`${open.url}/v1/jobs`, { headers: bearer(token) })).status).toBe(401);
  await open.close();
  expect((await send('GET', '/v1/jobs', { cookie: `unseam=${token}x` })).status).toBe(401);
});

it('a token in an address is none', async () => {
  for (const name of ['access_token', 'token', 'authorization'])
    expect((await send('GET', `/v1/jobs?${name}=${token}`)).status).toBe(401);
});

it('an Authorization that is no token is refused, even with a cookie that is one', async () => {
  for (const authorization of [
    'Basic YTpi',
    'Bearer',
    'Bearer ',
    'bearer a b',
    `Token ${token}`,
    'Bearer "x"',
  ]) {
    const answer = await send('GET', '/v1/jobs', { authorization, cookie: `unseam=${token}` });
    expect([authorization, answer.status]).toEqual([authorization, 401]);
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="unseam"/);
  }
  expect((await send('GET', '/v1/jobs', { authorization: `bEARER  ${token}` })).status).toBe(200);
});

it('a body is not received from a caller who may not send it', async () => {
  const reader = await makeToken(data, 'reader', ['read']);
  const answer = await send('POST', '/v1/segment?model=shapes', {
    ...bearer(reader),
    expect: '100-continue',
    'content-length': '1000000',
  });
  expect(answer.status).toBe(403);
});

describe('an admin', () => {
  it('makes, lists and revokes tokens over HTTP', async () => {
    const admin = bearer(await makeToken(data, 'chief', ['admin']));
    const json = { ...admin, 'content-type': 'application/json' };
    const made = await send('POST', '/v1/tokens', json, '{"name":"new","scopes":["read"],"expires":"1d"}');
    expect([made.status, made.headers['cache-control']]).toEqual([201, 'no-store']);
    const { token: text, ...view } = JSON.parse(made.body) as { token: string; id: string };
    expect(made.headers.location).toBe(`/v1/tokens/${view.id}`);
    expect((await send('GET', '/v1/jobs', bearer(text))).status).toBe(200);

    const list = await send('GET', '/v1/tokens', admin);
    expect((JSON.parse(list.body) as { tokens: object[] }).tokens).toContainEqual(view);
    expect(list.body).not.toContain(text.slice(20));

    expect((await send('DELETE', made.headers.location!, admin)).status).toBe(204);
    expect((await send('GET', '/v1/jobs', bearer(text))).status).toBe(401);
    expect((await send('DELETE', '/v1/tokens/none', admin)).status).toBe(404);
  });

  it('learns what is wrong with a request for a token', async () => {
    const json = { ...bearer(await makeToken(data, 'chief', ['admin'])), 'content-type': 'application/json' };
    for (const body of [
      '{}',
      '{"name":"x","scopes":[]}',
      '{"name":"x","scopes":["read"],"expires":"99999d"}',
      '{"name":"x","scopes":["read"],"sha256":"0"}',
    ])
      expect([body, (await send('POST', '/v1/tokens', json, body)).status]).toEqual([body, 400]);
  });
});
