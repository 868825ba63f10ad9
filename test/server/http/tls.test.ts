import { once } from 'node:events';
import { rename, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificate } from '../../support/certificate.js';
import { type FakeServer, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { rawSocket } from '../../support/raw.js';
import { bearer, makeToken } from '../../support/tokens.js';

const folder = await testFolder();
const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
const logged: string[] = [];
const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) });
let server: FakeServer;
let ca: string;
beforeAll(async () => {
  ca = await replace('first');
  server = await fakeServer(join(folder, 'data'), { tls: { cert, key, checkMs: 20 }, log });
});
afterAll(() => server?.close());

/** Replaces the files, the certificate first, as programs do that renew it. */
async function replace(name: string, days?: number): Promise<string> {
  const made = makeCertificate(name, days);
  for (const [path, text] of [
    [cert, made.cert],
    [key, made.key],
  ] as const) {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  }
  return made.cert;
}
/** The certificate that a new connection gets. */
async function presented(): Promise<string> {
  const socket = connect({
    port: Number(new URL(server.url).port),
    host: '127.0.0.1',
    rejectUnauthorized: false,
  });
  await once(socket, 'secureConnect');
  const { subject } = socket.getPeerCertificate() as PeerCertificate;
  socket.destroy();
  return subject.CN as string;
}
interface Got {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly socket: TLSSocket;
}
const get = (path: string, agent: Agent, { method = 'GET', headers = {} } = {}) =>
  new Promise<Got>((resolve, reject) => {
    const sent = request(`${server.url}${path}`, { agent, method, headers }, (response) => {
      const { socket } = response;
      response
        .resume()
        .on('end', () =>
          resolve({ status: response.statusCode!, headers: response.headers, socket: socket as TLSSocket }),
        );
    });
    sent.on('error', reject).end();
  });

describe('a server with a certificate', () => {
  it('speaks TLS, to clients that check it', async () => {
    expect(server.url).toMatch(/^https:/);
    const agent = new Agent({ ca });
    const { status, socket } = await get('/v1/models', agent);
    expect([status, socket.authorized, socket.getProtocol()]).toEqual([200, true, 'TLSv1.3']);
    agent.destroy();
    await expect(get('/v1/models', new Agent())).rejects.toThrow(/self.signed/);
  });

  it('closes connections that speak no TLS, or one that is too old', async () => {
    const { answer } = rawSocket(server.url, 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
    expect(await answer).toBe('');
    const { port } = new URL(server.url);
    const old = connect({
      port: Number(port),
      host: '127.0.0.1',
      rejectUnauthorized: false,
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await expect(once(old, 'secureConnect')).rejects.toThrow();
    expect((await get('/livez', new Agent({ ca }))).status).toBe(200);
  });

  it('takes a new one without closing a connection', async () => {
    const agent = new Agent({ ca, keepAlive: true, maxSockets: 1 });
    const { socket } = await get('/livez', agent);
    ca = await replace('second');
    await expect.poll(presented).toBe('second');
    const after = await get('/livez', agent);
    expect([after.status, after.socket === socket, socket.destroyed]).toEqual([200, true, false]);
    agent.destroy();
  });

  it('keeps the old one where the new one is damaged, or of another key, and says so', async () => {
    for (const [path, text] of [
      [cert, 'no certificate'],
      [key, makeCertificate('other').key],
    ] as const) {
      const before = logged.length;
      await writeFile(path, text);
      await expect
        .poll(() => logged.slice(before).join(''))
        .toMatch(/the new certificate cannot be used; the old one stays/);
      expect(await presented()).toBe('second');
    }
    ca = await replace('third', 3);
    await expect.poll(presented).toBe('third');
    await expect.poll(() => logged.join('')).toMatch(/"days":2,"msg":"the certificate expires soon/);
  });

  it('keeps the token of a page in a cookie that only TLS carries', async () => {
    const token = await makeToken(join(folder, 'data'), 'ada');
    const agent = new Agent({ ca });
    const { headers } = await get('/v1/session', agent, { method: 'POST', headers: bearer(token) });
    expect(headers['set-cookie']).toEqual([expect.stringMatching(/^__Host-unseam=unseam_.*; Secure$/)]);
    const own = await get('/v1/jobs', agent, { headers: { cookie: String(headers['set-cookie']) } });
    expect(own.status).toBe(200);
    agent.destroy();
  });
});

it('a server does not start with a certificate that is of no use', async () => {
  const other = join(folder, 'other.pem');
  await writeFile(other, makeCertificate('other').key);
  for (const tls of [
    { cert, key: other },
    { cert: key, key },
    { cert: join(folder, 'none'), key },
  ])
    await expect(fakeServer(join(folder, 'none'), { tls })).rejects.toMatchObject({
      code: 'bad-certificate',
    });
});
