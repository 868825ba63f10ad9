import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import type { RunningServer } from '../../../server/serve.js';
import { testFolder } from '../../support/files.js';
import { testServer, unseam } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';
import { writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
let server: RunningServer;
let files: Server;
let slide: Buffer;
let mask: Buffer;
const asked: string[] = [];

beforeAll(async () => {
  const path = join(folder, 'slide.tif');
  await writeTestTiff(path, pattern(700, 500, 3), {
    tile: { width: 128, height: 128 },
    compression: 8,
    bigTiff: true,
    bigEndian: true,
  });
  slide = await readFile(path);
  const out = join(folder, 'mask.tif');
  await unseam(['segment', path, '-o', out, '-m', 'shapes']);
  mask = await readFile(out);
  files = createServer((request, response) => {
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
    asked.push(`${request.url} ${request.headers.range ?? ''}`);
    if (request.url === '/moved.tif') response.writeHead(302, { location: '/slide.tif' }).end();
    else if (request.url === '/gone.tif') response.writeHead(404).end();
    else if (request.url === '/plain.tif' || !range) response.end(slide);
    else {
      const bytes = request.url === '/text.tif' ? Buffer.from('hello '.repeat(500)) : slide;
      const part = bytes.subarray(Number(range[1]), Number(range[2]) + 1);
      const etag = request.url === '/changing.tif' ? `"${asked.length}"` : '"one"';
      const end = Number(range[1]) + part.length - 1;
      response
        .writeHead(206, { 'content-range': `bytes ${range[1]}-${end}/${bytes.length}`, etag })
        .end(part);
    }
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => files.once('listening', resolve));
  server = await testServer(join(folder, 'data'), {
    allowedHosts: [`127.0.0.1:${(files.address() as AddressInfo).port}`],
  });
});
afterAll(async () => {
  files.close();
  await server?.close();
});

const submit = (source: unknown, more: object = {}) =>
  fetch(`${server.url}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'shapes', source, ...more }),
  });
const finished = async (response: Response): Promise<JobView> => {
  const { links } = (await response.json()) as JobView;
  const events = await (await fetch(`${server.url}${links.events}`)).text();
  expect(events).toMatch(/"state":"succeeded"/);
  return (await fetch(`${server.url}${links.self}`)).json() as Promise<JobView>;
};
const resultOf = async (job: JobView) =>
  Buffer.from(await (await fetch(`${server.url}${job.results[0]!.href}`)).arrayBuffer());

describe('an image on another server', () => {
  const at = (path: string) => `http://127.0.0.1:${(files.address() as AddressInfo).port}/${path}`;

  it('is read by ranges, and yields the same mask as the file', async () => {
    const job = await finished(await submit({ url: at('slide.tif') }));
    expect((await resultOf(job)).equals(mask)).toBe(true);
    expect(asked.length).toBeGreaterThan(1);
    expect(asked.every((line) => / bytes=\d+-\d+$/.test(line))).toBe(true);
    expect(await readdir(join(folder, 'data', 'jobs', job.id))).not.toContain('upload');
  });

  it.each([
    ['a host that is not allowed', 'http://localhost:9/slide.tif', 422, /not one of --image-hosts/],
    ['no address', 'file:///etc/passwd', 400, /source/],
    ['a redirect', at.bind(null, 'moved.tif'), 422, /cannot be reached/],
    ['a missing file', at.bind(null, 'gone.tif'), 422, /responded with 404/],
    ['a server without ranges', at.bind(null, 'plain.tif'), 422, /does not support range requests/],
    ['a file that is not a TIFF', at.bind(null, 'text.tif'), 422, /is no TIFF/],
    ['a file that changes', at.bind(null, 'changing.tif'), 422, /changed while it was read/],
  ] as const)('%s is refused', async (_, url, status, detail) => {
    const response = await submit({ url: typeof url === 'string' ? url : url() });
    const problem = (await response.json()) as { detail: string };
    expect([response.status, problem.detail]).toEqual([status, expect.stringMatching(detail)]);
  });
});

describe('an upload by the tus protocol', () => {
  const tus = (path: string, method: string, headers: Record<string, string>, body?: Buffer) =>
    fetch(`${server.url}${path}`, {
      method,
      headers: { 'tus-resumable': '1.0.0', ...headers },
      ...(body && { body: new Uint8Array(body) }),
    });
  const patch = (path: string, offset: number, body: Buffer) =>
    tus(
      path,
      'PATCH',
      { 'upload-offset': String(offset), 'content-type': 'application/offset+octet-stream' },
      body,
    );
  const create = async () => {
    const name = Buffer.from('my slide.tif').toString('base64');
    const headers = { 'upload-length': String(slide.length), 'upload-metadata': `filename ${name}` };
    const response = await tus('/v1/uploads', 'POST', headers);
    expect(response.status).toBe(201);
    return new URL(response.headers.get('location')!, server.url).pathname;
  };

  it('that is interrupted resumes at its offset, and becomes a job', async () => {
    const path = await create();
    const half = slide.length >> 1;
    // The connection breaks before the announced content length.
    const { request } = await import('node:http');
    const sending = request(`${server.url}${path}`, {
      method: 'PATCH',
      headers: {
        'tus-resumable': '1.0.0',
        'upload-offset': '0',
        'content-type': 'application/offset+octet-stream',
        'content-length': slide.length,
      },
    });
    sending.on('error', () => undefined);
    sending.write(slide.subarray(0, half));
    const received = join(folder, 'data', 'uploads', basename(path));
    await expect.poll(async () => (await stat(received)).size).toBe(half);
    sending.destroy(new Error('broken'));
    const offset = async () => Number((await tus(path, 'HEAD', {})).headers.get('upload-offset'));
    await expect.poll(offset).toBe(half);
    const early = await submit({ upload: path });
    expect([early.status, ((await early.json()) as { detail: string }).detail]).toEqual([
      409,
      expect.stringMatching(new RegExp(`has ${half} of ${slide.length} bytes`)),
    ]);
    expect((await patch(path, half, slide.subarray(half))).status).toBe(204);
    const wrong = await submit({ upload: path }, { tile: '101' });
    expect(wrong.status).toBe(400); // and the upload is still there
    const job = await finished(await submit({ upload: path }));
    const sha256 = createHash('sha256').update(slide).digest('hex');
    expect(job.source).toEqual({ kind: 'upload', name: 'my slide.tif', bytes: slide.length, sha256 });
    expect((await resultOf(job)).equals(mask)).toBe(true);
    expect(await readdir(join(folder, 'data', 'uploads'))).toEqual([]);
    expect((await submit({ upload: path })).status).toBe(404);
  });

  it('is bounded, gives no access to other files, and can be deleted', async () => {
    const large = await tus('/v1/uploads', 'POST', { 'upload-length': String(1e15) });
    expect(large.status).toBe(413);
    await mkdir(join(folder, 'data', 'uploads'), { recursive: true });
    expect((await submit({ upload: '../jobs' })).status).toBe(404);
    const path = await create();
    expect((await fetch(`${server.url}${path}`)).status).toBe(405);
    expect((await tus(path, 'DELETE', {})).status).toBe(204);
    expect((await submit({ upload: path })).status).toBe(404);
  });
});
