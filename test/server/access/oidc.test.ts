import { generateKeyPairSync, sign as signBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OidcIssuer, type OidcTimes } from '../../../server/access/oidc.js';
import { fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { bearer, makeToken } from '../../support/tokens.js';

/** What the issuer's server does with a request for its keys. */
let behaviour: 'serves' | 'hangs' | 'fails' | 'redirects' | 'is huge';
let requests: string[];
let published: object[];
let described: Record<string, unknown>;
let server: Server;
let issuer: string;
interface Key {
  readonly private: CryptoKey;
  readonly public: object;
  readonly kid: string;
}
const keys: Key[] = [];

beforeAll(async () => {
  for (const kid of ['a', 'b']) {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    keys.push({ private: privateKey, public: { ...(await exportJWK(publicKey)), kid, alg: 'ES256' }, kid });
  }
  server = createServer((request, response) => {
    requests.push(request.url!);
    if (behaviour === 'hangs') return;
    if (behaviour === 'fails') return void response.writeHead(500).end();
    if (behaviour === 'redirects') return void response.writeHead(302, { location: `${issuer}/jwks` }).end();
    const body = request.url === '/jwks' ? { keys: published } : described;
    response.end(JSON.stringify(behaviour === 'is huge' ? { ...body, more: 'x'.repeat(1 << 20) } : body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server?.closeAllConnections();
  server?.close();
});
beforeEach(() => {
  behaviour = 'serves';
  requests = [];
  published = [keys[0]!.public];
  described = { issuer, jwks_uri: `${issuer}/jwks` };
});

const now = () => Math.floor(Date.now() / 1000);
const claims = () => ({
  iss: issuer,
  aud: 'unseam',
  sub: 'u-1',
  exp: now() + 300,
  scope: 'openid unseam:segment',
  preferred_username: 'ada',
});
const sign = (changes: object = {}, key = keys[0]!) =>
  new SignJWT({ ...claims(), ...changes })
    .setProtectedHeader({ alg: 'ES256', kid: key.kid })
    .sign(key.private);
const open = (times: Partial<OidcTimes> = {}, scopesClaim = 'scope', jwks: string | null = null) =>
  new OidcIssuer({ issuer, audience: 'unseam', jwks, scopesClaim }, { timeoutMs: 200, retryMs: 0, ...times });
const codeOf = (check: Promise<unknown>) =>
  check.then(
    () => 'accepted',
    ({ code }: { code?: string }) => code,
  );

describe('a token of the issuer', () => {
  it('names its caller, with the scopes of this server alone', async () => {
    const principal = await open().check(await sign());
    expect(principal).toEqual({
      id: expect.stringMatching(/^oidc:[0-9a-f]{32}$/),
      name: 'ada',
      scopes: ['segment'],
      slides: null,
      expiresAt: expect.stringMatching(/^20/),
    });
    expect(requests).toEqual(['/.well-known/openid-configuration', '/jwks']);
    const other = await open().check(await sign({ sub: 'u-2' }));
    expect(other!.id).not.toBe(principal!.id);
    const named = await open().check(await sign({ preferred_username: undefined, email: 'a\n@b' }));
    expect([named!.id, named!.name]).toEqual([principal!.id, 'a @b']);
  });

  it('has its scopes in a text, in a list, or in a list of another claim', async () => {
    const roles = {
      realm_access: { roles: ['admin', 'unseam:train', 'unseam:read', 'segment'] },
      'a.b': 'unseam:admin',
    };
    const scopes = async (claim: string) => (await open({}, claim).check(await sign(roles)))!.scopes;
    expect(await scopes('realm_access.roles')).toEqual(['read', 'train']);
    expect(await scopes('a.b')).toEqual(['admin']);
    expect(await scopes('none.of.these')).toEqual([]);
    expect(await scopes('constructor.name')).toEqual([]);
  });

  it('is valid with a clock that differs by less than a minute', async () => {
    expect(await codeOf(open().check(await sign({ exp: now() - 50, nbf: now() + 50 })))).toBe('accepted');
    expect(await codeOf(open().check(await sign({ exp: now() - 70 })))).toBe('unauthorized');
    expect(await codeOf(open().check(await sign({ nbf: now() + 70 })))).toBe('unauthorized');
  });

  it.each([
    ['of another issuer', { iss: 'https://other.example' }],
    ['for another audience', { aud: 'other' }],
    ['for nobody', { aud: undefined }],
    ['of nobody', { sub: undefined }],
    ['that never expires', { exp: undefined }],
    ['that expires when no date is written any more', { exp: 1e15 }],
  ])('%s is refused', async (_what, changes) => {
    expect(await codeOf(open().check(await sign(changes)))).toBe('unauthorized');
  });
});

describe('a forged token', () => {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

  it('without a signature, or with that of another token, is refused', async () => {
    const [head, , signature] = (await sign()).split('.');
    for (const text of [
      `${encode({ alg: 'none' })}.${encode(claims())}.`,
      `${encode({ alg: 'None', kid: 'a' })}.${encode(claims())}.`,
      `${head}.${encode({ ...claims(), scope: 'unseam:admin' })}.${signature}`,
      `${head}.${encode(claims())}.AAAA`,
      'a.b.c',
      '..',
    ])
      expect([text, await codeOf(open().check(text))]).toEqual([text, 'unauthorized']);
  });

  it('signed with the public key as a shared secret is refused', async () => {
    const secret = new TextEncoder().encode(JSON.stringify(keys[0]!.public));
    const text = await new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', kid: 'a' }).sign(secret);
    published = [
      ...published,
      { kty: 'oct', kid: 'a', alg: 'HS256', k: Buffer.from(secret).toString('base64url') },
    ];
    expect(await codeOf(open().check(text))).toBe('unauthorized');
  });

  it('that brings its own key, or says where it is, is refused', async () => {
    const own = keys[1]!;
    for (const header of [{ jwk: own.public }, { jku: `${issuer}/other` }, { x5u: `${issuer}/other` }]) {
      const text = await new SignJWT(claims())
        .setProtectedHeader({ alg: 'ES256', kid: 'a', ...(header as object) })
        .sign(own.private);
      expect(await codeOf(open().check(text))).toBe('unauthorized');
    }
    expect(requests).not.toContain('/other');
  });
});

describe('the keys of the issuer', () => {
  it('go on to be used after a token whose key is too short to be trusted', async () => {
    const short = generateKeyPairSync('rsa', { modulusLength: 1024 });
    published = [...published, { ...short.publicKey.export({ format: 'jwk' }), kid: 'short', alg: 'RS256' }];
    const oidc = open();
    await oidc.check(await sign());
    const before = requests.length;
    const text = [{ alg: 'RS256', kid: 'short' }, claims()]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const signature = signBytes('sha256', Buffer.from(text), short.privateKey).toString('base64url');
    expect(await codeOf(oidc.check(`${text}.${signature}`))).toBe('unauthorized');
    expect(await codeOf(oidc.check(await sign()))).toBe('accepted');
    expect(requests.length).toBe(before);
  });

  it('go on to be used after an unknown one that cannot be requested', async () => {
    const oidc = open({ cooldownMs: 0 });
    await oidc.check(await sign());
    behaviour = 'fails';
    expect(await codeOf(oidc.check(await sign({}, keys[1])))).toBe('issuer-unreachable');
    expect(await codeOf(oidc.check(await sign()))).toBe('accepted');
  });

  it('cannot be had while they are none: that is no fault of the token either', async () => {
    const oidc = open();
    const right = published;
    for (const wrong of [[1], 'none', null] as unknown as object[][]) {
      published = wrong;
      expect(await codeOf(oidc.check(await sign()))).toBe('issuer-unreachable');
    }
    published = right;
    expect(await codeOf(oidc.check(await sign()))).toBe('accepted');
  });

  it('are requested once, and again when a token names a new one, but not for every unknown one', async () => {
    const oidc = open({ cooldownMs: 0 });
    await oidc.check(await sign());
    await oidc.check(await sign());
    expect(requests.filter((path) => path === '/jwks')).toHaveLength(1);
    published = [keys[1]!.public];
    expect(await codeOf(oidc.check(await sign({}, keys[1])))).toBe('accepted');
    expect(requests.filter((path) => path === '/jwks')).toHaveLength(2);
    // The old key was withdrawn with that.
    expect(await codeOf(oidc.check(await sign()))).toBe('unauthorized');

    const calm = open({ cooldownMs: 60_000 });
    await calm.check(await sign({}, keys[1]));
    const before = requests.length;
    for (let i = 0; i < 20; i++) expect(await codeOf(calm.check(await sign()))).toBe('unauthorized');
    expect(requests.length).toBe(before);
  });

  it('that were withdrawn are forgotten', async () => {
    const oidc = open({ maxAgeMs: 0 });
    expect(await codeOf(oidc.check(await sign()))).toBe('accepted');
    published = [keys[1]!.public];
    expect(await codeOf(oidc.check(await sign()))).toBe('unauthorized');
  });

  it.each(['hangs', 'fails', 'redirects', 'is huge'] as const)(
    'cannot be had while its server %s: that is no fault of the token',
    async (how) => {
      const oidc = open();
      behaviour = how;
      const start = performance.now();
      expect(await codeOf(oidc.check(await sign()))).toBe('issuer-unreachable');
      expect(performance.now() - start).toBeLessThan(2000);
      behaviour = 'serves';
      expect(await codeOf(oidc.check(await sign()))).toBe('accepted');
    },
  );

  it('are not requested again at once from a server that hangs', async () => {
    behaviour = 'hangs';
    const oidc = open({ retryMs: 60_000 });
    const token = await sign();
    for (let i = 0; i < 5; i++) expect(await codeOf(oidc.check(token))).toBe('issuer-unreachable');
    expect(requests).toHaveLength(1);
  });

  it('are those of an address that was configured, without discovery', async () => {
    expect(await codeOf(open({}, 'scope', `${issuer}/jwks`).check(await sign()))).toBe('accepted');
    expect(requests).toEqual(['/jwks']);
  });

  it('are not taken from an issuer that calls itself otherwise, or over a connection that anyone may change', async () => {
    described = { issuer: 'https://other.example', jwks_uri: `${issuer}/jwks` };
    expect(await codeOf(open().check(await sign()))).toBe('issuer-unreachable');
    described = { issuer, jwks_uri: 'http://keys.example/jwks' };
    expect(await codeOf(open().check(await sign()))).toBe('issuer-unreachable');
    expect(
      () => new OidcIssuer({ issuer: 'http://sso.example', audience: 'x', jwks: null, scopesClaim: 'scope' }),
    ).toThrow(/must be an https address/);
  });
});

describe('a server with an issuer', () => {
  it('takes its tokens beside its own, and needs one of either', async () => {
    const data = join(await testFolder(), 'data');
    const oidc = { issuer, audience: 'unseam', jwks: null, scopesClaim: 'scope' };
    const running = await fakeServer(data, { host: '127.0.0.1', oidc });
    const session = async (headers = {}) => {
      const response = await fetch(`${running.url}/v1/session`, { headers });
      return {
        status: response.status,
        retry: response.headers.get('retry-after'),
        body: (await response.json()) as Record<string, unknown>,
      };
    };
    expect((await session()).status).toBe(401);
    expect((await session(bearer(await sign()))).body).toMatchObject({
      name: 'ada',
      scopes: ['segment'],
      needsToken: true,
    });
    expect((await session(bearer(await makeToken(data, 'bob')))).body).toMatchObject({ name: 'bob' });
    expect((await session(bearer(await sign({ scope: 'openid' })))).status).toBe(403);
    const made = await fetch(`${running.url}/v1/tokens`, {
      method: 'POST',
      headers: { ...bearer(await sign({ scope: 'unseam:admin' })), 'content-type': 'application/json' },
      body: '{"name":"x","scopes":["read"]}',
    });
    expect(made.status).toBe(201);
    await running.close();

    behaviour = 'hangs';
    const cold = await fakeServer(data, { oidc });
    const headers = bearer(await sign());
    const refused = await fetch(`${cold.url}/v1/session`, { headers });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '2']);
    expect(await refused.json()).toMatchObject({ type: 'urn:unseam:problem:issuer-unreachable' });
    await cold.close();
  }, 20_000);
});
