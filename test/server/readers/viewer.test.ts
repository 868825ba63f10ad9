import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import { Viewer } from '../../../server/readers/viewer.js';
import { testFolder } from '../../support/files.js';
import { testServer } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';
import { writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
let slide: Buffer;
/** The image server responds, drops connections, or holds requests. */
let mode: 'up' | 'down' | 'held' = 'up';
const held: (() => void)[] = [];
const images = createServer((request, response) => {
  const answer = () => {
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')!.map(Number);
    const part = slide.subarray(from!, to! + 1);
    const range = `bytes ${from}-${from! + part.length - 1}/${slide.length}`;
    response.writeHead(206, { 'content-range': range, 'content-length': part.length }).end(part);
  };
  if (mode === 'up') answer();
  else if (mode === 'down') request.socket.destroy();
  else held.push(answer);
});
const release = () => {
  mode = 'up';
  for (const answer of held.splice(0)) answer();
};
let host: string;
let url: string;

beforeAll(async () => {
  // No pyramid: overviews are computed from a downscaled version. A tile is a block of the fetched bytes.
  const path = join(folder, 'slide.tif');
  await writeTestTiff(path, pattern(1200, 1200), { compression: 1, tile: { width: 256, height: 256 } });
  slide = await readFile(path);
  images.listen(0, '127.0.0.1');
  await once(images, 'listening');
  host = `127.0.0.1:${(images.address() as AddressInfo).port}`;
  url = `http://${host}/slide.tif`;
});
afterAll(() => {
  images.closeAllConnections();
  images.close();
});

const [NEAR, FAR] = [11, 8]; // levels: of 1200 px, and of 150 px
const viewer = () => new Viewer({ maxPixels: 1e9, allowedHosts: [host] });
const tile = (of: Viewer, level: number, row = 0) =>
  of.imageTile(url, { scratchDir: folder, maxPixels: 1e9 }, { level, column: 0, row });

describe('an open slide', () => {
  it('is closed only after its tile is complete', async () => {
    const shown = viewer();
    await tile(shown, NEAR);
    const order: string[] = [];
    mode = 'held';
    const made = tile(shown, NEAR, 3).then(() => order.push('tile'));
    await expect.poll(() => held.length).toBeGreaterThan(0);
    const closed = shown.evict(url).then(() => order.push('closed'));
    await new Promise((resolve) => setImmediate(resolve));
    release();
    await Promise.all([made, closed]);
    expect(order).toEqual(['tile', 'closed']);
  });

  it('is downscaled again after a failure', async () => {
    const shown = viewer();
    await tile(shown, NEAR);
    const outcome = () =>
      tile(shown, FAR).then(
        () => 'a tile',
        (error: { code: string }) => error.code,
      );
    mode = 'down';
    expect(await outcome()).toBe('source-unreachable');
    mode = 'up';
    expect(await outcome()).toBe('a tile');
    await shown.evict(url);
  });
});

describe('tiles for viewers', () => {
  let server: Awaited<ReturnType<typeof testServer>>;
  beforeAll(async () => {
    server = await testServer(join(folder, 'data'), { allowedHosts: [host] });
  });
  afterAll(() => server.close());

  /** Runs a job. @returns its address */
  async function jobOfSlide(): Promise<string> {
    const response = await fetch(`${server.url}/v1/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'shapes', source: { url } }),
    });
    const { links } = (await response.json()) as JobView;
    await (await fetch(`${server.url}${links.events}`)).text(); // the stream ends with the job
    return `${server.url}${links.self}`;
  }

  it('wait in a bounded queue', async () => {
    const job = await jobOfSlide();
    mode = 'held';
    const statuses: number[] = [];
    const asked = Array.from({ length: 70 }, async () => {
      const { status } = await fetch(`${job}/image_files/${NEAR}/0_0.jpeg`);
      statuses.push(status);
    });
    await expect.poll(() => statuses, { timeout: 10_000 }).toEqual(Array(5).fill(429));
    release();
    await Promise.all(asked);
    expect(statuses).toEqual([...Array(5).fill(429), ...Array(65).fill(200)]);
  });

  it('that take long do not delay the removal of another job', async () => {
    const [job, other] = [await jobOfSlide(), await jobOfSlide()];
    await fetch(`${other}/image_files/${NEAR}/0_0.jpeg`);
    mode = 'held';
    const shown = fetch(`${job}/image_files/${NEAR}/0_0.jpeg`);
    await expect.poll(() => held.length).toBeGreaterThan(0);
    expect((await fetch(other, { method: 'DELETE' })).status).toBe(204);
    release();
    expect((await shown).status).toBe(200);
  });
});
