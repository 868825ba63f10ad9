import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** Serves the files of a folder, whole or by ranges, until the test file ends. Returns the server's address. */
export async function serveFolder(folder: string): Promise<string> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://localhost');
    const path = join(folder, pathname);
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return void response.writeHead(404).end();
    const bytes = readFileSync(path);
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (!range) return void response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    const [start, stop] = [Number(range[1]), Math.min(Number(range[2]) + 1, bytes.length)];
    const part = bytes.subarray(start, stop);
    const contentRange = `bytes ${start}-${stop - 1}/${bytes.length}`;
    response.writeHead(206, { 'content-range': contentRange, 'content-length': part.length }).end(part);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
