import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningServer } from '../../../server/serve.js';
import { testFolder } from '../../support/files.js';
import { expectProblem, problemOf } from '../../support/problem.js';
import { testServer, unseam, unseamHere } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';
import { claimGiantSides, writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
let server: RunningServer;
let shapes: Buffer;
let whole: Buffer;

beforeAll(async () => {
  await unseamHere(['samples', '-o', folder, '-s', '500x350']);
  const path = join(folder, 'images', 'shapes-0001.png');
  shapes = await readFile(path);
  const out = join(folder, 'whole.png');
  await unseam(['segment', path, '-o', out, '-m', 'shapes', '--tile', 'whole']);
  whole = await readFile(out);
  server = await testServer(join(folder, 'data'), {
    maxBodyBytes: 8_000_000,
    idleTimeoutMs: 700,
    maxPixels: 40e6,
  });
});
afterAll(() => server?.close());

const post = (body: RequestInit['body'], query = 'model=shapes', headers: Record<string, string> = {}) =>
  fetch(`${server.url}/v1/segment?${query}`, { method: 'POST', body: body!, headers });
const metric = async (name: RegExp) => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const line = text.split('\n').find((l) => name.test(l));
  return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(' ')));
};
const until = (condition: () => Promise<boolean>) =>
  expect.poll(condition, { interval: 25, timeout: 10_000 }).toBe(true);
const nothingIsLeft = async () => (await readdir(join(folder, 'data', 'jobs'))).length === 0;

describe('POST /v1/segment', () => {
  it('returns the mask of one pass over the whole image, for any tile', async () => {
    for (const tile of ['auto', '124', '188x284', 'whole']) {
      const response = await post(new Uint8Array(shapes), `model=shapes&tile=${tile}`);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe('image/png');
      expect(whole.equals(Buffer.from(await response.arrayBuffer()))).toBe(true);
    }
  });

  it('averages over symmetries on request, identically for any tile', async () => {
    const masks: string[] = [];
    for (const tile of ['124', 'whole']) {
      const response = await post(new Uint8Array(shapes), `model=shapes&tta=1&tile=${tile}`);
      expect(JSON.parse(response.headers.get('unseam-receipt')!)).toMatchObject({
        symmetries: true,
        exact: true,
      });
      masks.push(Buffer.from(await response.arrayBuffer()).toString('base64'));
    }
    expect(masks[0]).toBe(masks[1]);
  });

  it('accepts multipart, and describes the run in headers', async () => {
    const form = new FormData();
    form.append('note', 'before the file');
    form.append('image', new Blob([new Uint8Array(shapes)]), 'slide.png');
    const response = await post(form);
    expect(whole.equals(Buffer.from(await response.arrayBuffer()))).toBe(true);
    expect(response.headers.get('unseam-model')).toBe('shapes/1');
    expect(response.headers.get('unseam-exact')).toBe('true');
    expect(JSON.parse(response.headers.get('unseam-receipt')!)).toMatchObject({
      plan: { tiles: 1 },
      channels: 'none',
    });
    const stages = [...response.headers.get('server-timing')!.matchAll(/(\w+);dur=[\d.]+/g)].map(
      ([, stage]) => stage,
    );
    expect(stages).toEqual(['upload', 'decode', 'queue', 'infer', 'stitch', 'encode']);
  });

  it('returns TIFF on request, floats for probabilities, RGB for overlays', async () => {
    const tiff = await post(new Uint8Array(shapes), 'model=shapes', { accept: 'image/tiff' });
    expect(await sharp(Buffer.from(await tiff.arrayBuffer())).metadata()).toMatchObject({
      format: 'tiff',
      width: 500,
    });
    const named = await post(new Uint8Array(shapes), 'model=shapes&output=labels:tiff', {
      accept: 'image/png',
    });
    expect(named.headers.get('content-type')).toBe('image/tiff');
    const floats = await post(new Uint8Array(shapes), 'model=shapes&output=probabilities');
    const file = Buffer.from(await floats.arrayBuffer());
    expect(await sharp(file).metadata()).toMatchObject({ depth: 'float', channels: 1, pages: 3 });
    const channel = /<Image ID="Image:0" Name="probabilities">.*<Channel ID="Channel:0:1" Name="triangle"/;
    expect(file.toString('latin1')).toMatch(channel);
    const overlay = await post(new Uint8Array(shapes), 'model=shapes&output=overlay');
    expect(await sharp(Buffer.from(await overlay.arrayBuffer())).metadata()).toMatchObject({
      format: 'png',
      channels: 3,
    });
  });

  it('answers concurrent requests, each with its own mask, without warnings', async () => {
    const warnings: string[] = [];
    const listen = ({ name }: Error) => warnings.push(name);
    process.on('warning', listen);
    const answers = await Promise.all(Array.from({ length: 12 }, () => post(new Uint8Array(shapes))));
    for (const answer of answers) expect(whole.equals(Buffer.from(await answer.arrayBuffer()))).toBe(true);
    process.off('warning', listen);
    expect(warnings).toEqual([]);
  });
});

describe('tiles of many requests', () => {
  it('share batches, with the same results as alone', async () => {
    const small = await sharp(shapes)
      .extract({ left: 30, top: 40, width: 60, height: 50 })
      .toColourspace('b-w')
      .png()
      .toBuffer();
    const send = async () => Buffer.from(await (await post(new Uint8Array(small))).arrayBuffer());
    const alone = await send();
    const batches = async () => ({
      tiles: await metric(/^unseam_batch_size_sum/),
      count: await metric(/^unseam_batch_size_count/),
    });
    /** The tiles and batches that some work takes. */
    const during = async (work: () => Promise<unknown>) => {
      const before = await batches();
      await work();
      const after = await batches();
      return { tiles: after.tiles - before.tiles, count: after.count - before.count };
    };
    const large = await sharp(shapes).resize(1600, 1600, { fit: 'fill' }).png().toBuffer();
    const sendLarge = async () => {
      const headers = { 'cache-control': 'no-cache' };
      expect((await post(new Uint8Array(large), 'model=shapes', headers)).status).toBe(200);
    };
    await sendLarge(); // with the self-test of its tiles
    const one = await during(sendLarge);
    expect(one.count).toBe(one.tiles);
    // Small tiles queue behind large ones, unless a single core takes longer to decode them than to run them.
    let count = 24;
    for (let attempt = 0; attempt < 8 && count === 24; attempt++) {
      const all = await during(async () => {
        const busy = sendLarge();
        const together = await Promise.all(Array.from({ length: 24 }, send));
        await busy;
        expect(together.every((mask) => mask.equals(alone))).toBe(true);
      });
      expect(all.tiles - one.tiles).toBe(24);
      count = all.count - one.count;
    }
    expect(count).toBeLessThan(24);
  });
});

describe('bad input has its own status and problem', () => {
  const cases: [string, number, string, () => Promise<Response>, RegExp][] = [
    ['an empty body', 415, 'unsupported-image', () => post(''), /0 bytes/],
    ['text', 415, 'unsupported-image', () => post('hello'), /not a supported image/],
    [
      'a truncated PNG',
      422,
      'corrupt-image',
      () => post(new Uint8Array(shapes.subarray(0, 20_000))),
      /decoded/,
    ],
    ['tile=573', 400, 'bad-tile', () => post(new Uint8Array(shapes), 'model=shapes&tile=573'), /572/],
  ];
  it.each(cases)('%s', async (_name, status, code, request, detail) => {
    await expectProblem(await request(), status, code, detail, folder);
  });

  it.each([
    ['a truncated TIFF', 422, (bytes: Buffer) => bytes.subarray(0, bytes.length - 60)],
    ['a TIFF that declares 2^31 px a side', 413, claimGiantSides],
  ])('%s', async (name, status, damage) => {
    const path = join(folder, `${status}.tif`);
    await writeTestTiff(path, pattern(16, 16), { tile: { width: 16, height: 16 }, compression: 8 });
    const response = await post(new Uint8Array(damage(await readFile(path))));
    expect([name, response.status]).toEqual([name, status]);
    await problemOf(response);
  });

  it('five channels', async () => {
    const path = join(folder, 'five.tif');
    await writeTestTiff(path, pattern(32, 32, 5), {
      tile: { width: 32, height: 32 },
      compression: 8,
      photometric: 1,
    });
    const response = await post(new Uint8Array(await readFile(path)));
    expect([response.status, (await problemOf(response)).detail]).toEqual([
      415,
      expect.stringMatching(/5 channels/),
    ]);
  });

  it('afterwards the server still answers and its scratch folder is empty', async () => {
    const response = await post(new Uint8Array(shapes));
    expect(whole.equals(Buffer.from(await response.arrayBuffer()))).toBe(true);
    await until(nothingIsLeft);
  });
});

describe('a large image', () => {
  it('keeps the server responsive, and is cancelled when its client disconnects', async () => {
    await unseamHere(['samples', '-o', join(folder, 'large'), '-s', '4000', '-k', 'membranes']);
    const image = await sharp(join(folder, 'large/images/membranes-0001.png'))
      .toColourspace('b-w')
      .jpeg({ quality: 50 })
      .toBuffer();
    const leaving = new AbortController();
    const request = fetch(`${server.url}/v1/segment?model=em-membrane`, {
      method: 'POST',
      body: new Uint8Array(image),
      signal: leaving.signal,
    });
    const gone = request.then(
      () => 'answered',
      () => 'gone',
    );
    await until(async () => (await metric(/^unseam_jobs\{state="running"\}/)) === 1);
    await until(async () => (await metric(/^unseam_stage_duration_seconds_count\{stage="stitch"\}/)) > 0);
    for (let i = 0; i < 5; i++) {
      const started = performance.now();
      expect((await fetch(`${server.url}/livez`)).status).toBe(200);
      expect(performance.now() - started).toBeLessThan(2000);
    }
    const other = await post(new Uint8Array(shapes));
    expect(other.status).toBe(200);
    expect(await metric(/^unseam_jobs\{state="running"\}/)).toBe(1);
    leaving.abort();
    expect(await gone).toBe('gone');
    await until(async () => (await metric(/^unseam_jobs\{state="running"\}/)) === 0);
    await until(nothingIsLeft);
  });
});

describe('the server', () => {
  it('exports counters of requests and pixels', async () => {
    const counts = async () => ({
      requests: await metric(
        /^unseam_http_request_duration_seconds_count\{route="\/v1\/segment",method="POST",status="200"\}/,
      ),
      pixels: await metric(/^unseam_pixels_total\{model="shapes"\}/),
    });
    const before = await counts();
    for (let i = 0; i < 3; i++) await (await post(new Uint8Array(shapes))).arrayBuffer();
    await until(async () => (await counts()).requests === before.requests + 3);
    expect((await counts()).pixels - before.pixels).toBe(3 * 500 * 350);
  });

  it('survives a crash of its worker: the job resumes in the next one', async () => {
    const own = await testServer(join(folder, 'outlives'));
    try {
      const before = own.workerPid();
      const url = `${own.url}/v1/segment?model=em-membrane&tile=204`;
      const send = () => fetch(url, { method: 'POST', body: new Uint8Array(shapes) });
      const expected = Buffer.from(await (await send()).arrayBuffer());
      const running = send();
      const stitched = async () =>
        Number(/stage="stitch"\} (\d+)/.exec(await (await fetch(`${own.url}/metrics`)).text())?.[1] ?? 0);
      const alone = await stitched();
      await until(async () => (await stitched()) > alone);
      process.kill(before!, 'SIGKILL');
      await until(async () => (await fetch(`${own.url}/readyz`)).status === 503);
      expect((await fetch(`${own.url}/livez`)).status).toBe(200);
      const response = await running;
      expect(response.status).toBe(200);
      expect(expected.equals(Buffer.from(await response.arrayBuffer()))).toBe(true);
      expect(own.workerPid()).not.toBe(before);
      const metrics = await (await fetch(`${own.url}/metrics`)).text();
      expect(metrics).toMatch(/restarts_total\{device="cpu"\} 1/);
      expect(metrics).toContain('unseam_worker_deaths_total{cause="killed"} 1\n');
      expect(metrics).toContain('unseam_job_restarts_total 1\n');
      await until(async () => (await readdir(join(folder, 'outlives', 'jobs'))).length === 0);
    } finally {
      await own.close();
    }
  });

  it('drains: completes pending requests, and removes their files', async () => {
    const own = await testServer(join(folder, 'drained'));
    const running = fetch(`${own.url}/v1/segment?model=shapes`, {
      method: 'POST',
      body: new Uint8Array(shapes),
    });
    await until(async () => (await readdir(join(folder, 'drained', 'jobs'))).length > 0);
    const closing = own.close();
    const response = await running;
    expect(whole.equals(Buffer.from(await response.arrayBuffer()))).toBe(true);
    await closing;
    // The rest is for the next server: outcomes of self-tests, and the number of the released lock.
    const names = (await readdir(join(folder, 'drained'))).sort();
    expect(names).toEqual(['jobs', 'self-tests.json', 'server-1.lock', 'uploads']);
    for (const each of ['jobs', 'uploads']) expect(await readdir(join(folder, 'drained', each))).toEqual([]);
    const holder = JSON.parse(await readFile(join(folder, 'drained', 'server-1.lock'), 'utf8'));
    expect(holder).toMatchObject({ released: true });
    await expect(fetch(`${own.url}/livez`)).rejects.toThrow();
  });
});
