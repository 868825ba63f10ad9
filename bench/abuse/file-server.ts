import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';

/** Serves the files of a folder over HTTP with range requests, for images that are read by URL. */
export async function serveFolder(
  folder: string,
): Promise<{ readonly host: string; readonly server: Server }> {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url!, 'http://x').pathname));
    const bytes = await readFile(join(folder, path)).catch(() => null);
    if (bytes === null) return response.writeHead(404).end();
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    if (!range)
      return response
        .writeHead(200, { 'content-length': bytes.length })
        .end(request.method === 'HEAD' ? '' : bytes);
    const [start, last] = [
      Number(range[1]),
      Math.min(bytes.length - 1, Number(range[2] || bytes.length - 1)),
    ];
    if (start > last) return response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
    const part = bytes.subarray(start, last + 1);
    const head = { 'content-length': part.length, 'content-range': `bytes ${start}-${last}/${bytes.length}` };
    return response.writeHead(206, head).end(part);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}
