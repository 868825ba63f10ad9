import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import type { RunningServer } from '../../../server/serve.js';
import { testFolder } from '../../support/files.js';
import { jobWhen, settledJob } from '../../support/jobs.js';
import { serverProcess, testServer, unseam, unseamHere } from '../../support/product.js';

const folder = await testFolder();
const data = join(folder, 'data');
const slides = join(folder, 'slides');
let server: RunningServer;
let slide: Buffer;
let mask: Buffer;

beforeAll(async () => {
  await unseamHere(['samples', '-o', folder, '-s', '900x700']);
  const image = join(folder, 'images', 'shapes-0001.png');
  slide = await readFile(image);
  await mkdir(slides);
  await writeFile(join(slides, 'one.png'), slide);
  await writeFile(join(folder, 'secret.png'), slide);
  await symlink(join(folder, 'secret.png'), join(slides, 'link.png'));
  const out = join(folder, 'mask.tif');
  await unseam(['segment', image, '-o', out, '-m', 'shapes', '--tile', 'whole']);
  mask = await readFile(out);
  server = await testServer(data, { slides, syncPixels: 900 * 700 });
});
afterAll(() => server?.close());

const at = (path: string) => `${server.url}${path}`;
const submit = (query = 'model=shapes', headers: Record<string, string> = {}, body: Buffer = slide) =>
  fetch(at(`/v1/jobs?${query}`), { method: 'POST', body: new Uint8Array(body), headers });
const view = async (response: Response) => (await response.json()) as JobView;
const problem = async (response: Response) => (await response.json()) as { type: string; detail: string };
const get = async (id: string) => view(await fetch(at(`/v1/jobs/${id}`)));
const ended = (id: string) => settledJob(server.url, id);
const hasTiles = ({ progress }: JobView) => (progress?.tilesDone ?? 0) > 0;
const bytes = async (response: Response) => Buffer.from(await response.arrayBuffer());
const filesOf = (id: string) => readdir(join(data, 'jobs', id)).then((names) => names.sort());
const sha = (buffer: Buffer) => createHash('sha256').update(buffer).digest('hex');

describe('a job', () => {
  it('is accepted with its plan, and yields the mask of one pass over the whole image', async () => {
    const response = await submit('model=shapes&tile=188');
    expect(response.status).toBe(202);
    const accepted = await view(response);
    expect(response.headers.get('location')).toBe(`/v1/jobs/${accepted.id}`);
    expect(accepted).toMatchObject({
      model: 'shapes/1',
      image: { width: 900, height: 700 },
      priority: 'normal',
    });
    const job = await ended(accepted.id);
    expect(job).toMatchObject({
      state: 'succeeded',
      error: null,
      progress: { tilesDone: job.plan.tiles, pixelsDone: 900 * 700 },
      receipt: { exact: true, model: { name: 'shapes' } },
      results: [{ output: 'labels', format: 'tiff' }],
    });
    const result = await fetch(at(job.results[0]!.href));
    expect(result.headers.get('content-type')).toBe('image/tiff');
    expect(sha(await bytes(result))).toBe(sha(mask));
    expect(await filesOf(job.id)).toEqual(['job.json', 'labels.tif', 'upload']);
  });

  it('computes labels and probabilities in one pass', async () => {
    const accepted = await submit('model=shapes&output=probabilities,labels');
    expect(accepted.status).toBe(202);
    const { id } = await view(accepted);
    const job = await ended(id);
    expect(job.results.map(({ output, format }) => `${output} ${format}`)).toEqual([
      'labels tiff',
      'probabilities tiff',
    ]);
    const [labels, probabilities] = await Promise.all(
      job.results.map(async ({ href }) => bytes(await fetch(at(href)))),
    );
    expect(sha(labels!)).toBe(sha(mask));
    const sharp = (await import('sharp')).default;
    expect((await sharp(probabilities!).metadata()).pages).toBe(3);
  });

  it('derives further outputs from its mask on request, once', async () => {
    const { id } = await view(await submit());
    await ended(id);
    const wanted = [
      'overlay',
      'geojson',
      'objects&format=csv',
      'instances',
      'thumbnail',
      'labels&format=png',
    ];
    for (const output of wanted) {
      const url = at(`/v1/jobs/${id}/result?output=${output}`);
      const [one, two] = await Promise.all([fetch(url).then(bytes), fetch(url).then(bytes)]);
      expect(one.length).toBeGreaterThan(100);
      expect(one.equals(two)).toBe(true);
    }
    const direct = await fetch(at('/v1/segment?model=shapes'), {
      method: 'POST',
      body: new Uint8Array(slide),
    }).then(bytes);
    expect(direct.equals(await fetch(at(`/v1/jobs/${id}/result?output=labels&format=png`)).then(bytes))).toBe(
      true,
    );
    const png = await fetch(at(`/v1/jobs/${id}/result?output=labels`), { headers: { accept: 'image/png' } });
    expect(png.headers.get('content-type')).toBe('image/tiff'); // the requested output of the job takes precedence
  });

  it('shows its image and its mask as Deep Zoom tiles', async () => {
    const { id } = await view(await submit());
    await ended(id);
    const sharp = (await import('sharp')).default;
    expect(await (await fetch(at(`/v1/jobs/${id}/mask.dzi`))).text()).toMatch(/Width="900" Height="700"/);
    for (const layer of ['image', 'mask'] as const) {
      const ending = layer === 'image' ? 'jpeg' : 'png';
      const tile = (name: string) => fetch(at(`/v1/jobs/${id}/${layer}_files/${name}.${ending}`));
      const size = async (name: string) => {
        const { width, height, format } = await sharp(await bytes(await tile(name))).metadata();
        return [width, height, format];
      };
      expect(await size('10/3_2')).toEqual([900 - 768, 700 - 512, ending]);
      expect(await size('8/0_0')).toEqual([225, 175, ending]);
      expect(await size('0/0_0')).toEqual([1, 1, ending]);
      for (const none of ['10/4_0', '11/0_0', '10/x_0']) expect((await tile(none)).status).toBe(404);
    }
    // A tile of the full size holds the mask's own pixels.
    const png = await bytes(await fetch(at(`/v1/jobs/${id}/mask_files/10/1_1.png`)));
    const labels = await sharp(await bytes(await fetch(at(`/v1/jobs/${id}/result?output=labels&format=png`))))
      .extract({ left: 256, top: 256, width: 256, height: 256 })
      .toColourspace('b-w')
      .raw()
      .toBuffer();
    const pixels = await sharp(png).raw().toBuffer();
    const wrong = labels.findIndex((label, i) => (label === 0) !== (pixels[4 * i + 3] === 0));
    expect(wrong).toBe(-1);
    expect(labels.some((label) => label > 0)).toBe(true);
  });

  it('writes the requested outputs', async () => {
    const { id } = await view(await submit('model=shapes&output=overlay,labels:png'));
    const job = await ended(id);
    expect(job.results.map(({ output, format }) => `${output}:${format}`)).toEqual([
      'labels:tiff',
      'overlay:png',
      'labels:png',
    ]);
    for (const { href } of job.results) expect((await fetch(at(href))).status).toBe(200);
  });

  it('of a file on the server reads it in place, only within the slides folder', async () => {
    const post = (source: unknown, more: object = {}) =>
      fetch(at('/v1/jobs'), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'shapes', source, ...more }),
      });
    const { id } = await view(await post({ path: 'one.png' }));
    const job = await ended(id);
    expect(sha(await bytes(await fetch(at(job.results[0]!.href))))).toBe(sha(mask));
    expect(await filesOf(id)).toEqual(['job.json', 'labels.tif']);
    expect(job.source).toEqual({ kind: 'path', path: 'one.png' });
    for (const path of ['../secret.png', join(folder, 'secret.png'), 'link.png', 'none.png']) {
      expect((await post({ path })).status).toBe(404);
    }
    expect((await post({ file: 'one.png' })).status).toBe(400);
    const more = { tile: 188, tta: false, channels: [0], output: ['labels', 'overlay'] };
    const typed = await view(await post({ path: 'one.png' }, more));
    expect((await ended(typed.id)).results.map(({ output }) => output)).toEqual(['labels', 'overlay']);
    const broken = await fetch(at('/v1/jobs'), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"source"',
    });
    expect([broken.status, (await problem(broken)).detail]).toEqual([
      400,
      expect.stringMatching(/^the JSON body/),
    ]);
  });

  it('that is impossible is refused at once, with its reason', async () => {
    const cases: [query: string, body: Buffer, status: number, detail: RegExp][] = [
      ['model=none', slide, 404, /no model/],
      ['model=shapes&tile=101', slide, 400, /101 px is not a valid tile side/],
      ['model=shapes&level=1', slide, 415, /no level 1/],
      ['model=shapes&channels=3', slide, 415, /no channel 3/],
      ['model=shapes&channels=x', slide, 415, /there is no channel "x": its channel has no name/],
      ['model=shapes&channels=0,,1', slide, 400, /parameter "channels": must be a list/],
      ['model=shapes&range=5,1', slide, 400, /parameter "range"/],
      ['model=shapes&output=masks', slide, 400, /unknown output "masks": expected labels/],
      [
        'model=shapes&output=labels,probabilities:png',
        slide,
        406,
        /probabilities are written as tiff, raw or zarr, not png/,
      ],
      ['model=shapes', Buffer.from('text'), 415, /not a supported image/],
    ];
    const before = await readdir(join(data, 'jobs'));
    for (const [query, body, status, detail] of cases) {
      const response = await submit(query, {}, body);
      expect([response.status, (await problem(response)).detail]).toEqual([
        status,
        expect.stringMatching(detail),
      ]);
    }
    expect(await readdir(join(data, 'jobs'))).toEqual(before);
  });
});

it('a job with a damaged image fails with its reason', async () => {
  const { id } = await view(await submit('model=shapes', {}, slide.subarray(0, 5000)));
  const job = await ended(id);
  expect(job).toMatchObject({ state: 'failed', error: { code: 'corrupt-image' }, results: [] });
  expect(await filesOf(id)).toEqual(['job.json']);
});

describe('a client', () => {
  it('cancels a running job, of which only the record remains, and deletes an ended one', async () => {
    const { id } = await view(await submit('model=em-membrane&tile=188'));
    await jobWhen(server.url, id, ({ state }) => state === 'running');
    expect((await fetch(at(`/v1/jobs/${id}/result`))).status).toBe(409);
    const cancelled = await fetch(at(`/v1/jobs/${id}`), { method: 'DELETE' });
    expect(await view(cancelled)).toMatchObject({ state: 'cancelled', results: [] });
    expect(await filesOf(id)).toEqual(['job.json']);
    expect((await fetch(at(`/v1/jobs/${id}`), { method: 'DELETE' })).status).toBe(204);
    expect((await fetch(at(`/v1/jobs/${id}`))).status).toBe(404);
    expect(await readdir(join(data, 'jobs'))).not.toContain(id);
  });
});

it('a small image is segmented while a slide is in progress', async () => {
  const sharp = (await import('sharp')).default;
  const large = sharp({ create: { width: 4000, height: 4000, channels: 3, background: '#888' } });
  const gray = await large.toColourspace('b-w').png({ compressionLevel: 1 }).toBuffer();
  const { id } = await view(await submit('model=em-membrane&priority=bulk&tile=188', {}, gray));
  await jobWhen(server.url, id, hasTiles);
  const corner = await sharp(slide).extract({ left: 0, top: 0, width: 200, height: 200 }).png().toBuffer();
  const small = await fetch(at('/v1/segment?model=shapes'), {
    method: 'POST',
    body: new Uint8Array(corner),
  });
  expect(small.status).toBe(200);
  expect((await get(id)).state).toBe('running');
  await fetch(at(`/v1/jobs/${id}`), { method: 'DELETE' });
});

describe('nothing is lost', () => {
  it('when the server is killed: the job resumes after its journaled bands, with the same bytes', async () => {
    const own = join(folder, 'killed');
    const expected = await fetch(at('/v1/segment?model=em-membrane'), {
      method: 'POST',
      body: new Uint8Array(slide),
      headers: { accept: 'image/tiff' },
    }).then(bytes);
    let killed = await serverProcess(own, ['--concurrency', '1']);
    const accepted = await fetch(`${killed.url}/v1/jobs?model=em-membrane&tile=124`, {
      method: 'POST',
      body: new Uint8Array(slide),
    });
    const { id } = await view(accepted);
    const journalBytes = () =>
      stat(join(own, 'jobs', id, 'bands')).then(
        ({ size }) => size,
        () => 0,
      );
    for (const size of [3000, 6000]) {
      await expect.poll(journalBytes, { interval: 10, timeout: 30_000 }).toBeGreaterThanOrEqual(size);
      killed.process.kill('SIGKILL');
      await killed.exit;
      killed = await serverProcess(own, ['--concurrency', '1']);
    }
    const job = await settledJob(killed.url, id);
    expect(job).toMatchObject({ state: 'succeeded' });
    expect(job.progress!.tilesReplayed).toBeGreaterThan(0);
    expect(sha(await bytes(await fetch(`${killed.url}${job.results[0]!.href}`)))).toBe(sha(expected));
    killed.process.kill('SIGTERM');
    expect(await killed.exit).toBe(0);
  });

  it('when the server is stopped: running jobs resume after a restart', async () => {
    const own = join(folder, 'stopped');
    const first = await testServer(own);
    const response = await fetch(`${first.url}/v1/jobs?model=em-membrane&tile=124`, {
      method: 'POST',
      body: new Uint8Array(slide),
    });
    const { id } = await view(response);
    const listening = fetch(`${first.url}/v1/jobs/${id}/events`).then((events) => events.text());
    await jobWhen(first.url, id, hasTiles);
    await first.close();
    await listening;
    const second = await testServer(own);
    const events = await (await fetch(`${second.url}/v1/jobs/${id}/events`)).text();
    expect(events).toMatch(/"state":"succeeded"/);
    await second.close();
  });

  it('but a job that crashes its workers repeatedly fails, and the others complete', async () => {
    const restartMs = { first: 50, last: 200 };
    const own = await testServer(join(folder, 'killer'), { concurrency: 4, worker: { restartMs } });
    try {
      const post = (model: string, query = '') =>
        fetch(`${own.url}/v1/jobs?model=${model}${query}`, {
          method: 'POST',
          body: new Uint8Array(slide),
        }).then(view);
      // Its model is self-tested before the killer starts: otherwise its plan may wait for the killer to end.
      await settledJob(own.url, (await post('shapes', '&tile=whole')).id);
      const killer = await post('em-membrane', '&tile=whole&tta=1');
      const other = await post('shapes', '&tile=188');
      // Every worker that may run the killer is killed, to simulate crashes by the job.
      const pids = new Set<number>();
      const killWorker = async () => {
        const { state } = await view(await fetch(`${own.url}/v1/jobs/${killer.id}`));
        const pid = own.workerPid();
        const isReady = (await fetch(`${own.url}/readyz`)).status === 200;
        if (state === 'running' && isReady && pid !== undefined && !pids.has(pid)) {
          pids.add(pid);
          process.kill(pid, 'SIGKILL');
        }
        return state;
      };
      await expect.poll(killWorker, { interval: 20, timeout: 50_000 }).not.toMatch(/queued|running/);
      const job = await settledJob(own.url, killer.id);
      expect([job.state, job.error]).toEqual([
        'failed',
        { code: 'worker-killer', detail: expect.stringMatching(/crashed 3 times while it ran this job/) },
      ]);
      expect((await settledJob(own.url, other.id)).state).toBe('succeeded');
    } finally {
      await own.close();
    }
  });

  it('and two servers cannot share a folder', async () => {
    const own = join(folder, 'shared');
    const first = await serverProcess(own);
    const second = await unseam(['serve', '--port', '0', '--data', own]);
    expect([second.code, second.stderr]).toEqual([12, expect.stringMatching(/holds the data folder/)]);
    first.process.kill('SIGKILL');
    await first.exit;
    const third = await serverProcess(own);
    third.process.kill('SIGTERM');
    expect(await third.exit).toBe(0);
  });
});

it('ended jobs expire', async () => {
  const own = await testServer(join(folder, 'expiry'), { keepMs: 1 });
  const { id } = await view(
    await fetch(`${own.url}/v1/jobs?model=shapes`, { method: 'POST', body: new Uint8Array(slide) }),
  );
  await (await fetch(`${own.url}/v1/jobs/${id}/events`)).text();
  await own.close();
  const next = await testServer(join(folder, 'expiry'), { keepMs: 1 });
  await expect.poll(async () => (await fetch(`${next.url}/v1/jobs/${id}`)).status).toBe(404);
  await next.close();
});
