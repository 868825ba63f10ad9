import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { makeCertificate } from '../../support/certificate.js';
import { unseam } from '../../support/product.js';

/** Runs `unseam health` against a server that answers `/readyz` with a status and a text. */
async function health(status: number | null, text = '') {
  const server = createServer((request, response) => {
    if (status !== null) response.writeHead(request.url === '/readyz' ? status : 404).end(text);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  // As in a container: the server's own settings, by which its host is no address to connect to.
  const env = { UNSEAM_HOST: '0.0.0.0', UNSEAM_PORT: String(port) };
  const result = await unseam(['health', '--timeout', '1'], { env });
  server.closeAllConnections();
  server.close();
  return { ...result, port };
}

it('exits with 0 if the server is ready, and prints what it says of its devices', async () => {
  expect(await health(200, 'ok\ncpu: ok\n')).toMatchObject({ code: 0, stdout: 'ok\ncpu: ok\n', stderr: '' });
});

// Docker reserves other exit codes than 0 and 1.
it('exits with 1 and the reason if the server is not ready', async () => {
  const { code, stdout, stderr } = await health(503, 'waiting for the data folder\n');
  expect({ code, stdout, stderr }).toEqual({
    code: 1,
    stdout: '',
    stderr: 'unseam: waiting for the data folder\n',
  });
});

it('exits with 1 if the server does not answer in time', async () => {
  const { code, stderr, port } = await health(null);
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `unseam: no server on port ${port}: no answer within 1 s\n`,
  });
});

it('exits with 1 if no server listens', async () => {
  const { code, stderr } = await unseam(['health', '--port', '1']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^unseam: no server on port 1: .*ECONNREFUSED/);
});

it('speaks TLS with a server that does', async () => {
  const server = createTlsServer(makeCertificate('unseam'), (_request, response) => response.end('ok\n'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const env = { UNSEAM_PORT: String(port), UNSEAM_TLS_CERT: '/certificates/tls.crt' };
  expect(await unseam(['health'], { env })).toMatchObject({ code: 0, stdout: 'ok\n', stderr: '' });
  server.closeAllConnections();
  server.close();
});
