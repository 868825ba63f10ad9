import { once } from 'node:events';
import { readFile, utimes } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import type { RunningServer } from '../../../server/serve.js';
import { testFolder } from '../../support/files.js';
import { settledJob } from '../../support/jobs.js';
import { testServer } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';
import { writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
const data = join(folder, 'data');
/** The image server answers everything, nothing, or nothing from the first request for the middle of the slide. */
let mode: 'up' | 'down' | 'breaks off' = 'up';
let refused = 0;
let slide: Buffer;
let another: Buffer;
let etag = '"one"';
let server: RunningServer;

const images = createServer((request, response) => {
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')!.map(Number);
  if (mode === 'breaks off' && Math.abs(from! / slide.length - 0.55) < 0.15) mode = 'down';
  if (mode === 'down') {
    refused++;
    request.socket.destroy();
    return;
  }
  const part = slide.subarray(from!, to! + 1);
  const range = `bytes ${from}-${from! + part.length - 1}/${slide.length}`;
  response.writeHead(206, { 'content-range': range, etag, 'content-length': part.length }).end(part);
});
const start = () => {
  const { port } = images.address() as AddressInfo;
  const recovery = { retryMs: [10, 20], probeMs: { first: 50, last: 100 } };
  return testServer(data, { slides: folder, allowedHosts: [`127.0.0.1:${port}`], recovery });
};

beforeAll(async () => {
  const paint = async (name: string, value: (v: number) => number): Promise<Buffer> => {
    const of = (width: number, height: number) => {
      const raster = pattern(width, height);
      return { ...raster, data: raster.data.map(value) };
    };
    // Intensities are sampled from the overview, which is stored after the middle of the file.
    const layout = { compression: 1, tile: { width: 400, height: 16 }, children: [of(100, 300)] };
    await writeTestTiff(join(folder, name), of(400, 1200), layout);
    return readFile(join(folder, name));
  };
  slide = await paint('slide.tif', (v) => v);
  another = await paint('another.tif', (v) => 255 - v);
  images.listen(0, '127.0.0.1');
  await once(images, 'listening');
  server = await start();
});
afterAll(async () => {
  await server?.close();
  images.closeAllConnections();
  images.close();
});

const at = (path: string) => `${server.url}${path}`;
const get = async (id: string) => (await (await fetch(at(`/v1/jobs/${id}`))).json()) as JobView;
const submit = async (more = {}) => {
  const { port } = images.address() as AddressInfo;
  const response = await fetch(at('/v1/jobs'), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'shapes',
      tile: 188,
      ...more,
      source: { url: `http://127.0.0.1:${port}/slide.tif` },
    }),
  });
  return ((await response.json()) as JobView).id;
};
const settled = (id: string) => settledJob(server.url, id);

describe('a job whose source becomes unavailable', () => {
  let id: string;

  it('is paused with its reason, and keeps its finished bands', async () => {
    mode = 'breaks off';
    id = await submit();
    const job = await settled(id);
    expect(job).toMatchObject({
      state: 'paused',
      pause: { code: 'source-unreachable', detail: expect.stringMatching(/cannot be reached/) },
      error: null,
    });
    expect(job.progress!.tilesDone).toBeGreaterThan(0);
    const metrics = await (await fetch(at('/metrics'))).text();
    expect(metrics).toMatch(/^unseam_jobs\{state="paused"\} 1$/m);
    expect(metrics).toMatch(/^unseam_job_pauses_total\{code="source-unreachable"\} 1$/m);
  });

  it('can be resumed by a request, and pauses again while its source is unavailable', async () => {
    const resumed = await fetch(at(`/v1/jobs/${id}/resume`), { method: 'POST' });
    expect([resumed.status, ((await resumed.json()) as JobView).state]).toEqual([200, 'queued']);
    expect((await settled(id)).state).toBe('paused');
  });

  it('is polled without leaking listeners', async () => {
    const warnings: string[] = [];
    const warned = ({ name }: Error) => void warnings.push(name);
    process.on('warning', warned);
    refused = 0;
    await expect.poll(() => refused, { timeout: 20_000 }).toBeGreaterThan(30);
    process.off('warning', warned);
    expect(warnings).toEqual([]);
  });

  it('is still paused after a restart of the server', async () => {
    await server.close();
    server = await start();
    expect(await get(id)).toMatchObject({ state: 'paused', pause: { code: 'source-unreachable' } });
  });

  it('resumes automatically after its journaled bands when its source is back, with the right bytes', async () => {
    mode = 'up';
    await (await fetch(at(`/v1/jobs/${id}/events`))).text(); // the stream ends with the job
    const job = await get(id);
    expect(job).toMatchObject({ state: 'succeeded', pause: null });
    expect(job.progress!.tilesReplayed).toBeGreaterThan(0);
    const result = await fetch(at(job.results[0]!.href));
    const once = await fetch(at('/v1/segment?model=shapes'), {
      method: 'POST',
      body: new Uint8Array(slide),
      headers: { accept: 'image/tiff' },
    });
    expect(Buffer.from(await result.arrayBuffer()).equals(Buffer.from(await once.arrayBuffer()))).toBe(true);
    const again = await fetch(at(`/v1/jobs/${id}/resume`), { method: 'POST' });
    expect([again.status, ((await again.json()) as { detail: string }).detail]).toEqual([
      409,
      'the job is succeeded: only a paused one can be resumed',
    ]);
  });

  it('restarts from the beginning, with a warning, when its source has changed', async () => {
    mode = 'breaks off';
    const { id: other, state } = await settled(await submit());
    expect(state).toBe('paused');
    slide = another;
    etag = '"two"';
    mode = 'up';
    await (await fetch(at(`/v1/jobs/${other}/events`))).text();
    const job = await get(other);
    expect([job.state, job.progress!.tilesReplayed]).toEqual(['succeeded', 0]);
    expect(job.receipt).toMatchObject({
      warnings: ['the job started over: the bands of its earlier run were discarded (of another image)'],
    });
  });

  it('restarts from the beginning when its tissue mask has been modified', async () => {
    const tissue = join(folder, 'tissue.png');
    await sharp({ create: { width: 4, height: 12, channels: 3, background: '#fff' } })
      .png()
      .toFile(tissue);
    mode = 'breaks off';
    const { id: masked, state } = await settled(await submit({ 'skip-background': 'tissue.png' }));
    expect(state).toBe('paused');
    await utimes(tissue, 0, 0);
    mode = 'up';
    await (await fetch(at(`/v1/jobs/${masked}/events`))).text();
    const job = await get(masked);
    expect([job.state, job.progress!.tilesReplayed]).toEqual(['succeeded', 0]);
    expect(job.receipt).toMatchObject({
      warnings: ['the job started over: the bands of its earlier run were discarded (of another tissue)'],
    });
  });

  it('can be cancelled while paused, and only its record remains', async () => {
    mode = 'breaks off';
    const { state, ...job } = await settled(await submit());
    expect(state).toBe('paused');
    const cancelled = await fetch(at(`/v1/jobs/${job.id}`), { method: 'DELETE' });
    expect(await cancelled.json()).toMatchObject({ state: 'cancelled', pause: null });
  });
});
