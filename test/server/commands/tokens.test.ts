import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { problemOf } from '../../../server/contract/problems.js';
import { type FakeServer, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { serverProcess, unseam } from '../../support/product.js';
import { bearer, makeToken } from '../../support/tokens.js';

const folder = await testFolder();
const data = join(folder, 'data');
let server: FakeServer;
beforeAll(async () => {
  server = await fakeServer(data);
});
afterAll(() => server?.close());

const models = async (token?: string) =>
  (await fetch(`${server.url}/v1/models`, token ? { headers: bearer(token) } : {})).status;

describe('unseam tokens', () => {
  it('makes a token, from which on the server that runs needs it, and no other', async () => {
    expect(await models()).toBe(200);
    const made = await unseam(['tokens', 'create', '--data', data, '--name', 'ada', '--scope', 'read']);
    expect([made.code, made.stdout]).toEqual([0, expect.stringMatching(/^unseam_\w{12}_[\w-]{43}\n$/)]);
    const token = made.stdout.trim();
    expect([await models(), await models(token), await models(`${token.slice(0, -2)}00`)]).toEqual([
      401, 200, 401,
    ]);
    expect((await fetch(`${server.url}/livez`)).status).toBe(200);

    const listed = await unseam(['tokens', 'list', '--data', data, '--json']);
    const { id, ...rest } = JSON.parse(listed.stdout) as { id: string };
    expect(rest).toMatchObject({ name: 'ada', scopes: ['read'], revokedAt: null });
    expect(listed.stdout).not.toContain(token.slice(20));

    expect((await unseam(['tokens', 'revoke', id, '--data', data])).stdout).toMatch(/revoked/);
    // The last one is revoked: the server does not open.
    expect([await models(token), await models()]).toEqual([401, 401]);
  });

  it('lists the others beside one that is damaged, which can be revoked, as over HTTP', async () => {
    const folderOf = join(folder, 'damaged');
    await makeToken(folderOf, 'ada', ['read']);
    const path = join(folderOf, 'tokens', `${'a'.repeat(12)}.json`);
    await writeFile(path, '{');
    const listed = await unseam(['tokens', 'list', '--data', folderOf]);
    expect([listed.code, listed.stdout]).toEqual([0, expect.stringMatching(/^\w+ "ada": read/)]);
    expect(listed.stderr).toMatch(
      /^unseam: a{12}: tokens\/a{12}.json is not a valid token record; revoke it$/m,
    );
    const revoked = await unseam(['tokens', 'revoke', 'a'.repeat(12), '--data', folderOf]);
    expect([revoked.code, revoked.stderr]).toEqual([
      0,
      expect.stringMatching(/could not be read, and is removed/),
    ]);
    expect(revoked.stderr).toMatch(/"audit":"revokeToken".*"target":"a{12}"/);

    const admin = bearer(await makeToken(data, 'admin', ['admin']));
    await writeFile(join(data, 'tokens', `${'b'.repeat(12)}.json`), '{');
    const list = () => fetch(`${server.url}/v1/tokens`, { headers: admin }).then((found) => found.json());
    expect(await list()).toMatchObject({ unreadable: [{ id: 'b'.repeat(12) }] });
    const { status } = await fetch(`${server.url}/v1/tokens/${'b'.repeat(12)}`, {
      method: 'DELETE',
      headers: admin,
    });
    expect([status, await list()]).toEqual([204, expect.objectContaining({ unreadable: [] })]);
  });

  it('refuses what would be no token', async () => {
    const create = (...args: string[]) => unseam(['tokens', 'create', '--data', data, ...args]);
    const [scope, expires, name] = await Promise.all([
      create('--name', 'x', '--scope', 'write'),
      create('--name', 'x', '--scope', 'read', '--expires', 'soon'),
      create('--name', 'a\nb', '--scope', 'read'),
    ]);
    expect([scope.code, scope.stderr]).toEqual([2, expect.stringMatching(/one or more of read, segment/)]);
    expect([expires.code, expires.stderr]).toEqual([2, expect.stringMatching(/such as 90d, 12h/)]);
    expect([name.code, name.stderr]).toEqual([2, expect.stringMatching(/control character/)]);
  });
});

describe('a fresh server on all addresses of the machine', () => {
  const serve = (fresh: string, env: NodeJS.ProcessEnv = {}) =>
    unseam(['serve', '--host', '0.0.0.0', '--port', '0', '--data', join(folder, fresh)], { env });

  it('refuses to start, and says how it may', async () => {
    const [plain, denied] = await Promise.all([serve('fresh'), serve('fresh', { UNSEAM_OPEN: '0' })]);
    for (const { code, stderr } of [plain, denied]) {
      expect(code).toBe(problemOf('exposed').exitCode);
      expect(stderr).toMatch(/^unseam: on --host 0\.0\.0\.0, anyone .*unseam tokens create .*--open$/m);
    }
  });

  it('starts once there is a token, and needs it', async () => {
    const token = await makeToken(join(folder, 'ready'), 'ada', ['read']);
    const running = await serverProcess(join(folder, 'ready'), ['--host', '0.0.0.0']);
    try {
      const at = (path: string, headers = {}) =>
        fetch(running.url.replace('0.0.0.0', '127.0.0.1') + path, { headers });
      expect((await at('/v1/models')).status).toBe(401);
      expect((await at('/metrics')).status).toBe(401);
      expect((await at('/v1/models', bearer(token))).status).toBe(200);
      expect((await at('/livez')).status).toBe(200);
    } finally {
      running.process.kill('SIGKILL');
      await running.exit;
    }
  });

  it('starts with --open, and serves anyone', async () => {
    const open = await fakeServer(join(folder, 'open'), { host: '0.0.0.0', isOpen: true });
    const url = open.url.replace('0.0.0.0', '127.0.0.1');
    expect((await fetch(`${url}/v1/models`)).status).toBe(200);
    const refused = await fetch(`${url}/v1/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'x', scopes: ['admin'] }),
    });
    expect([refused.status, await refused.text()]).toEqual([
      403,
      expect.stringMatching(/unseam tokens create/),
    ]);
    await open.close();
  });
});
