import { chown, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { parseToken } from '../../../server/access/token.js';
import { TokenStore } from '../../../server/access/token-store.js';
import { testFolder } from '../../support/files.js';

const folder = await testFolder();
let data: string;
let now: number;
let store: TokenStore;
let runs = 0;
beforeEach(() => {
  data = join(folder, String(runs++));
  now = Date.parse('2026-05-04T09:30:00Z');
  store = new TokenStore(data, () => now);
});

const make = (lifetimeMs: number | null = null) =>
  store.create({ name: 'ada', scopes: ['segment'], lifetimeMs });
const check = (text: string) => store.check(parseToken(text)!);

describe('a token', () => {
  it('is known by its text', async () => {
    const { token, text } = await make();
    expect(text).toMatch(/^unseam_[0-9a-z]{12}_[\w-]{43}$/);
    expect(await check(text)).toEqual(token);
    expect(token).toMatchObject({ name: 'ada', scopes: ['segment'], expiresAt: null, revokedAt: null });
  });

  it('is stored without its secret, where only its user may look', async () => {
    const { text } = await make();
    const { id, secret } = parseToken(text)!;
    const files = await readdir(data, { recursive: true });
    expect(files.sort()).toEqual(['tokens', `tokens/${id}.json`]);
    const stored = await readFile(join(data, 'tokens', `${id}.json`), 'utf8');
    expect(stored).not.toContain(secret);
    expect(stored).not.toContain(Buffer.from(secret, 'base64url').toString('hex'));
    if (process.platform !== 'win32') expect((await stat(join(data, 'tokens'))).mode & 0o077).toBe(0);
  });

  it('is nobody with another secret, or with the id of another', async () => {
    const [one, other] = [await make(), await make()];
    const { id, secret } = parseToken(one.text)!;
    for (const text of [
      `unseam_${id}_${parseToken(other.text)!.secret}`,
      `unseam_${parseToken(other.text)!.id}_${secret}`,
      `unseam_${'0'.repeat(12)}_${secret}`,
      `unseam_${id}_${secret.slice(0, -1)}${secret.endsWith('A') ? 'E' : 'A'}`,
    ])
      expect(await check(text)).toBeNull();
  });

  it('expires', async () => {
    const { text } = await make(1000);
    now += 999;
    expect(await check(text)).not.toBeNull();
    now += 1;
    await expect(check(text)).rejects.toMatchObject({
      code: 'unauthorized',
      message: expect.stringMatching(/"ada" expired at 2026-05-04T09:30:01/),
    });
  });

  it('is refused from the moment that another process revokes it', async () => {
    const { token, text } = await make();
    await new TokenStore(data, () => now).revoke(token.id);
    await expect(check(text)).rejects.toMatchObject({ code: 'unauthorized' });
    const revoked = { id: token.id, revokedAt: '2026-05-04T09:30:00.000Z' };
    expect(await store.list()).toMatchObject({ tokens: [revoked], unreadable: [] });
    await expect(store.revoke('nobody')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('admits nobody once its record is damaged', async () => {
    const { token, text } = await make();
    const path = join(data, 'tokens', `${token.id}.json`);
    const record = JSON.parse(await readFile(path, 'utf8')) as object;
    for (const damaged of ['', '{}', '[]', JSON.stringify({ ...record, sha256: '' }), '{"id":1']) {
      await writeFile(path, damaged);
      await expect(check(text)).rejects.toMatchObject({ code: 'unreadable-record' });
    }
  });

  it('whose record is damaged is listed as such, beside the others, and can be revoked', async () => {
    const [damaged, other] = [await make(), await make()];
    await writeFile(join(data, 'tokens', `${damaged.token.id}.json`), '{');
    expect(await store.list()).toEqual({
      tokens: [other.token],
      unreadable: [{ id: damaged.token.id, reason: expect.stringMatching(/is not a valid token record/) }],
    });
    expect(await store.revoke(damaged.token.id)).toBeNull();
    expect(await store.list()).toEqual({ tokens: [other.token], unreadable: [] });
    expect(await check(damaged.text)).toBeNull();
  });

  it('may be revoked by several at a time', async () => {
    const { token, text } = await make();
    const stores = Array.from({ length: 16 }, () => new TokenStore(data, () => now));
    const revoked = await Promise.all(stores.map((each) => each.revoke(token.id)));
    expect(new Set(revoked.map((each) => each?.revokedAt))).toEqual(new Set(['2026-05-04T09:30:00.000Z']));
    await expect(check(text)).rejects.toMatchObject({ code: 'unauthorized' });
    expect(await readdir(join(data, 'tokens'))).toEqual([`${token.id}.json`]);
  });

  it('leaves no draft for long that a killed process has left', async () => {
    const { token } = await make();
    const draft = join(data, 'tokens', '.other.json.1.partial');
    await writeFile(draft, '{');
    await make();
    expect(await readdir(join(data, 'tokens'))).toContain(basename(draft));
    await utimes(draft, 0, 0);
    await store.revoke(token.id);
    expect(await readdir(join(data, 'tokens'))).not.toContain(basename(draft));
  });

  it.runIf(process.getuid?.() === 0)('of another user cannot be read, which is said so', async () => {
    const { text } = await make();
    process.seteuid!(4321);
    try {
      const refused = { code: 'bad-folder', message: expect.stringMatching(/the owner of that folder/) };
      await expect(check(text)).rejects.toMatchObject(refused);
      await expect(store.list()).rejects.toMatchObject(refused);
    } finally {
      process.seteuid!(0);
    }
  });

  it.runIf(process.getuid?.() === 0)('that root makes is that of the owner of the data folder', async () => {
    await mkdir(data);
    await chown(data, 4321, 1234);
    const { token } = await make();
    const owners = async () =>
      Promise.all(
        ['tokens', `tokens/${token.id}.json`].map(async (name) => {
          const { uid, gid } = await stat(join(data, name));
          return [uid, gid];
        }),
      );
    expect(await owners()).toEqual(Array(2).fill([4321, 1234]));
    await store.revoke(token.id);
    expect(await owners()).toEqual(Array(2).fill([4321, 1234]));
  });
});

it('what is no token of ours, is not looked up', () => {
  for (const text of [
    '',
    'unseam_',
    'unseam_../../etc/pass_x',
    `unseam_ABCDEFGHIJKL_${'a'.repeat(43)}`,
    'ey.J.x',
  ])
    expect(parseToken(text)).toBeNull();
});

it('a folder had tokens once it had one, whatever becomes of it', async () => {
  expect(await store.hasTokens()).toBe(false);
  const { token } = await make();
  expect(await store.hasTokens()).toBe(true);
  await store.revoke(token.id);
  expect(await store.hasTokens()).toBe(true);
  expect(await new TokenStore(data).hasTokens()).toBe(true);
});
