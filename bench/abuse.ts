import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Engine } from '../model/engine.js';
import type { JobView } from '../server/jobs/view.js';
import { writeSample } from '../tiling/samples/sample.js';
import { TiffSink } from '../tiling/sinks/tiff.js';
import { type Answer, ask, isNamed, isNamedCode, leaks, SLOW_MS } from './abuse/answers.js';
import { serveFolder } from './abuse/file-server.js';
import { mutatePicture } from './abuse/mutate-picture.js';
import { mutateTiff } from './abuse/mutate-tiff.js';
import type { Expectation } from './abuse/mutation.js';
import { Oracle, type Verdict } from './abuse/oracle.js';
import { filesBelow, idleBytes, ProcessWatch } from './abuse/processes.js';
import { Random } from './abuse/random.js';
import { exchange } from './abuse/raw-http.js';
import type { RequestExpectation } from './abuse/request-parts.js';
import { mutateRequest } from './abuse/requests.js';
import { type Seed, writeSeeds } from './abuse/seeds.js';
import { FAULTS, type Fault, Surprises } from './abuse/surprises.js';
import { mutateZarr, writeZarr, zarrSeeds } from './abuse/zarrs.js';
import type { Bench } from './bench.js';
import { BenchServer, pause } from './server.js';
import { writeUntrained } from './untrained.js';

/** Mutated images: of the formats, and of them those sent for a plan only, by path and by URL. */
const COUNTS = { warmUp: 200, images: 4400, headers: 1200, stored: 600, requests: 2000 };
const CONNECTIONS = 6;
const QUEUE = 24;
const KEEP = resolve('out', 'abuse');
const SLIDE = { width: 2400, height: 1800 };
const LIMITS = {
  ...(Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>),
  ...{ crashes: 0, restartsByHeaders: 0, innocentsFailed: 0, innocentsLeast: 5 },
  ...{ filesLeft: 0, placesTaken: 0, memoryGrowth: 0.1 },
};

/**
 * Thousands of broken images and requests, each with what its structure says must come of it, sent to a
 * server over several connections while it works through sound slides. What is answered as an image is
 * compared with decoders that are not ours, through a model whose overlays are the pixels themselves.
 */
export const bench: Bench = async (say) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const oracle = await Oracle.start();
  const surprises = await Surprises.open(KEEP);
  try {
    const run = await Run.start(dir, oracle, surprises, say);
    try {
      return await run.all();
    } finally {
      await run.close();
    }
  } finally {
    oracle?.close();
    await rm(dir, { recursive: true, force: true });
  }
};

class Run {
  readonly #watch: ProcessWatch;
  #crashes = 0;
  #agreed = 0;
  #refused = 0;
  #soundRefused = 0;

  private constructor(
    private readonly dir: string,
    private readonly server: BenchServer,
    private readonly files: Awaited<ReturnType<typeof serveFolder>>,
    private readonly seeds: readonly Seed[],
    private readonly oracle: Oracle | null,
    private readonly surprises: Surprises,
    private readonly say: (line: string) => void,
  ) {
    this.#watch = new ProcessWatch(server.child.pid!);
    server.child.once('exit', () => this.#crashes++);
  }

  static async start(
    dir: string,
    oracle: Oracle | null,
    surprises: Surprises,
    say: (line: string) => void,
  ): Promise<Run> {
    for (const folder of ['slides', 'tmp', 'answers']) await mkdir(join(dir, folder));
    await writePlainModel(join(dir, 'models'), 'plain', 1);
    await writePlainModel(join(dir, 'models'), 'plain-colour', 3);
    const seeds = await writeSeeds(dir);
    await symlink('/etc', join(dir, 'slides', 'link-out'));
    await writeFile(join(dir, 'slides', 'seed.tif'), seeds[0]!.bytes);
    const files = await serveFolder(join(dir, 'slides'));
    const args = [
      '--models',
      join(dir, 'models'),
      '--slides',
      join(dir, 'slides'),
      '--allow-hosts',
      files.host,
    ];
    const limits = ['--queue', String(QUEUE), '--idle-timeout', '2'];
    const server = await BenchServer.start(join(dir, 'data'), [...args, ...limits], {
      TMPDIR: join(dir, 'tmp'),
    });
    return new Run(dir, server, files, seeds, oracle, surprises, say);
  }

  async all() {
    const { dir, server, say, surprises } = this;
    const started = performance.now();
    const input = join(dir, 'slide.tif');
    const format = { channels: 1, dtype: 'uint8', mpp: null, overviews: 'mean' } as const;
    await writeSample('shapes', SLIDE, 1, { image: await TiffSink.create(input, SLIDE, format) });
    const expected = await this.#innocent(input);
    const before = new Set(await this.#files());

    say(`${this.seeds.length} sound images`);
    await inTurns(this.seeds.length, (i) => {
      const seed = this.seeds[i]!;
      return this.#image('sound', i, seed, { what: 'nothing', bytes: seed.bytes, expect: 'sound' });
    });
    await inTurns(COUNTS.warmUp, (i) => this.#mutated('warm-up', i, 1_000_000));
    const warmBytes = await idleBytes(server.child.pid!);

    let over = false;
    const innocents = { succeeded: 0, failed: 0 };
    const background = (async () => {
      while (!over && this.#crashes === 0) {
        const same = (await this.#innocent(input).catch(() => null)) === expected;
        innocents[same ? 'succeeded' : 'failed']++;
      }
    })();
    const restartsBefore = this.#workerRestarts();
    await inTurns(COUNTS.headers, (i) => this.#header(i));
    const restartsByHeaders = this.#workerRestarts() - restartsBefore;
    say(`${COUNTS.headers} images planned, worker restarts ${restartsByHeaders}`);
    await inTurns(COUNTS.images, async (i) => {
      await this.#mutated('image', i, 0);
      if (i % 500 === 499) say(`${i + 1} images, ${JSON.stringify(surprises.counts)}`);
    });
    await inTurns(COUNTS.stored, (i) => this.#stored(i));
    say(`${COUNTS.stored} images by path and URL, ${JSON.stringify(surprises.counts)}`);
    const target = await server.ended((await server.submit(input, 'model=plain')).id);
    await inTurns(COUNTS.requests, (i) => this.#request(i, target.id));
    say(`${COUNTS.requests} requests, ${JSON.stringify(surprises.counts)}`);
    over = true;
    await background;
    const seconds = Math.round((performance.now() - started) / 1000);

    await this.#clear();
    const left = (await this.#files()).filter((file) => !before.has(file));
    const placesTaken = QUEUE - (await this.#freePlaces());
    await this.#clear();
    const memoryGrowth = (await idleBytes(server.child.pid!)) / warmBytes - 1;
    const figures = {
      ...surprises.counts,
      ...{
        crashes: this.#crashes,
        restartsByHeaders,
        innocentsFailed: innocents.failed,
        innocentsLeast: innocents.succeeded,
      },
      ...{ filesLeft: left.length, placesTaken, memoryGrowth: Number(memoryGrowth.toFixed(3)) },
    };
    for (const file of left.slice(0, 5)) say(`left: ${file.slice(dir.length)}`);
    const holds = (Object.keys(LIMITS) as (keyof typeof LIMITS)[]).every((name) =>
      name === 'innocentsLeast' ? figures[name] >= LIMITS[name] : figures[name] <= LIMITS[name],
    );
    return {
      images: COUNTS.images + COUNTS.stored,
      planned: COUNTS.headers,
      requests: COUNTS.requests,
      seconds,
      ...figures,
      agreed: this.oracle
        ? this.#agreed
        : 'not compared: Python with tifffile, imagecodecs and Pillow is missing',
      ...{ refused: this.#refused, soundRefused: this.#soundRefused, slow: surprises.slow },
      restarts: this.#watch.restarts,
      warmMb: Math.round(warmBytes / 1e6),
      decoders: this.oracle?.versions ?? null,
      surprises: KEEP,
      limits: LIMITS,
      holds,
    };
  }

  async close(): Promise<void> {
    this.#watch.stop();
    this.files.server.close();
    if (this.server.child.exitCode === null) await this.server.kill();
  }

  /** A slide from end to end, at the lowest priority: the digest of its mask. */
  async #innocent(input: string): Promise<string> {
    const { id } = await this.server.submit(input, 'model=plain&priority=bulk');
    const { state, error } = await this.server.ended(id, 100);
    if (state !== 'succeeded') throw new Error(`the innocent job ${state}: ${error?.detail}`);
    const { body } = await ask(`${this.server.url}/v1/jobs/${id}/result`);
    await ask(`${this.server.url}/v1/jobs/${id}`, { method: 'DELETE' });
    return createHash('sha256').update(body).digest('hex');
  }

  async #mutated(phase: string, number: number, offset: number): Promise<void> {
    const random = new Random(offset + number);
    const seed = random.pick(this.seeds);
    await this.#image(phase, number, seed, mutate(seed, random));
  }

  /** Sends an image to be segmented, and judges the answer. */
  async #image(
    phase: string,
    number: number,
    seed: Seed,
    { what, bytes, expect }: { what: string; bytes: Buffer; expect: Expectation | 'sound' },
  ): Promise<void> {
    const { url } = this.server;
    const query = `model=${seed.model}&output=overlay${seed.query}`;
    const answer = await ask(`${url}/v1/segment?${query}`, { method: 'POST', body: bytes });
    const path = join(this.dir, 'answers', `${phase}-${number}`);
    const judged = { phase, number, subject: seed.name, what, expected: expect };
    const read = answer.status === 200;
    const verdict = read && expect !== 'refused' ? await this.#compare(path, bytes, answer, seed) : null;
    await this.#judge(judged, answer, verdict, bytes);
  }

  async #compare(
    path: string,
    image: Buffer | string,
    { body }: Answer,
    seed: Pick<Seed, 'query' | 'planes' | 'tolerance'>,
  ) {
    if (!this.oracle) return null;
    const picture = typeof image === 'string' ? image : `${path}.image`;
    if (typeof image !== 'string') await writeFile(picture, image);
    await writeFile(`${path}.png`, body);
    const list = (name: string) =>
      new RegExp(`${name}=([-\\d,]+)`).exec(seed.query)?.[1]?.split(',').map(Number) ?? null;
    const { planes, tolerance } = seed;
    const task = {
      image: picture,
      answer: `${path}.png`,
      planes,
      tolerance,
      range: list('range'),
      channels: null,
    };
    const verdict = await this.oracle.compare(task);
    await rm(`${path}.png`);
    if (typeof image !== 'string') await rm(picture);
    return verdict;
  }

  async #judge(
    about: { phase: string; number: number; subject: string; what: string; expected: string },
    answer: Answer,
    verdict: Verdict | null,
    input: Buffer | string,
  ): Promise<void> {
    const { expected } = about;
    const { status, hung, ms, type, body } = answer;
    const read = status >= 200 && status < 400;
    const said = verdict ? JSON.stringify(verdict.said) : body.toString('latin1', 0, 300);
    const surprise = {
      ...about,
      answered: `${status} ${type} ${read ? (verdict ? said : '') : said}`,
      ms: Math.round(ms),
    };
    const add = (fault: Fault | 'slow') => this.surprises.add(fault, surprise, input);
    if (ms > SLOW_MS) await add('slow');
    if (leaks(answer, this.dir)) await add('leaked');
    if (hung) return add('hung');
    if (expected === 'nothing') return;
    if (expected === 'malformed' && (status === 0 || (status >= 400 && status < 500) || status === 505))
      return;
    if (status === 500) return add('answered500');
    if (!read && !isNamed(answer)) return add('unnamed');
    if (!read) {
      this.#refused++;
      if (expected === 'sound' || expected === 'served') return add('refusedSound');
      return;
    }
    if (expected === 'refused' || expected === 'malformed') return add('acceptedBroken');
    if (verdict?.verdict === 'differs') return add('disagreed');
    if (verdict?.verdict === 'unreadable') return add('unconfirmed');
    if (verdict?.verdict === 'agrees') this.#agreed++;
  }

  /** Sends a broken image of which the header alone is read. */
  async #header(number: number): Promise<void> {
    const random = new Random(2_000_000 + number);
    const seed = random.pick(this.seeds);
    const { what, bytes } = mutate(seed, random);
    const query = `model=${seed.model}${seed.query}`;
    const answer = await ask(`${this.server.url}/v1/plan?${query}`, {
      method: 'POST',
      body: bytes,
    });
    await this.#judge(
      { phase: 'header', number, subject: seed.name, what, expected: 'either' },
      answer,
      null,
      bytes,
    );
  }

  /** A broken OME-Zarr or TIFF below the folder of slides, or at an address: a job of its own. */
  async #stored(number: number): Promise<void> {
    const random = new Random(3_000_000 + number);
    const zarr = random.chance(0.75);
    const seed = random.pick(this.seeds.filter(({ format }) => format === 'tiff'));
    const store = random.pick(zarrSeeds());
    const name = zarr ? `${number}.zarr` : `${number}.tif`;
    const path = join(this.dir, 'slides', name);
    const byUrl = random.chance(0.4);
    const mutation = zarr ? mutateZarr(store, random) : mutate(seed, random);
    if ('files' in mutation) await writeZarr(path, mutation);
    else await writeFile(path, mutation.bytes);
    // A web server follows its own links; their bytes are no chunk all the same.
    const source = byUrl ? { url: `http://${this.files.host}/${name}` } : { path: name };
    const choice = zarr ? {} : Object.fromEntries(new URLSearchParams(seed.query));
    const { answer, verdict } = await this.#job(
      { source, model: zarr ? 'plain' : seed.model, output: 'overlay', priority: 'interactive', ...choice },
      (overlay) => {
        const facts = zarr ? { query: '', planes: [0], tolerance: 0 } : seed;
        return this.#compare(join(this.dir, 'answers', `stored-${number}`), path, overlay, facts);
      },
    );
    const subject = `${zarr ? store.name : seed.name} by ${byUrl ? 'URL' : 'path'}`;
    const about = { phase: 'stored', number, subject, what: mutation.what, expected: mutation.expect };
    await this.#judge(about, answer, verdict, path);
    await rm(path, { recursive: true });
  }

  /** Runs a job to its end; what it ends with is its answer, as if it had been asked for at once. */
  async #job(request: object, compare: (overlay: Answer) => Promise<Verdict | null>) {
    const { url } = this.server;
    const started = performance.now();
    const headers = { 'content-type': 'application/json' };
    const first = await ask(`${url}/v1/jobs`, { method: 'POST', headers, body: JSON.stringify(request) });
    if (first.status !== 202) return { answer: first, verdict: null };
    const { id } = JSON.parse(first.body.toString()) as JobView;
    let job = await this.server.job(id);
    while ((job.state === 'queued' || job.state === 'running') && performance.now() - started < 60_000) {
      await pause(15);
      job = await this.server.job(id);
    }
    const ms = performance.now() - started;
    const overlay =
      job.state === 'succeeded' ? await ask(`${url}/v1/jobs/${id}/result?output=overlay`) : null;
    const verdict = overlay?.status === 200 ? await compare(overlay) : null;
    await ask(`${url}/v1/jobs/${id}`, { method: 'DELETE' });
    if (overlay) return { answer: { ...overlay, ms }, verdict };
    const named = job.error !== undefined && job.error !== null && isNamedCode(job.error.code);
    const type = named ? 'application/problem+json' : `the job ${job.state}: ${job.error?.code}`;
    const problem = { type: `urn:unseam:problem:${job.error?.code}`, status: 422, detail: job.error?.detail };
    const body = Buffer.from(JSON.stringify(problem));
    const status = job.error?.code === 'internal' ? 500 : named ? 422 : 0;
    const hung = job.state === 'queued' || job.state === 'running';
    return { answer: { status, type, body, ms, hung } satisfies Answer, verdict };
  }

  async #request(number: number, job: string): Promise<void> {
    const random = new Random(4_000_000 + number);
    const { host, port } = new URL(this.server.url);
    const image = this.seeds.find(({ name }) => name === 'PNG gray')!.bytes;
    const mutation = mutateRequest({ host, model: 'plain', image, job, slide: 'seed.tif' }, random);
    const answer = await exchange(Number(port), mutation);
    const input = Buffer.concat(mutation.send.filter((part) => typeof part !== 'number'));
    const expected: RequestExpectation = mutation.expect;
    await this.#judge(
      { phase: 'request', number, subject: 'request', what: mutation.what, expected },
      answer,
      null,
      input,
    );
  }

  /** Ends and removes every job and every upload that the requests left, as their clients would. */
  async #clear(): Promise<void> {
    const { url } = this.server;
    for (let round = 0; round < 50; round++) {
      const { jobs } = JSON.parse(
        (await ask(`${url}/v1/jobs?limit=500`)).body.toString() || '{"jobs":[]}',
      ) as { jobs: JobView[] };
      const uploads = (await filesBelow(join(this.dir, 'data'))).flatMap(
        (file) => /uploads\/([0-9a-f]{32})$/.exec(file)?.[1] ?? [],
      );
      if (jobs.length === 0 && uploads.length === 0) break;
      for (const { id } of jobs) await ask(`${url}/v1/jobs/${id}`, { method: 'DELETE' });
      const headers = { 'Tus-Resumable': '1.0.0' };
      for (const id of uploads) await ask(`${url}/v1/uploads/${id}`, { method: 'DELETE', headers });
    }
    await pause(1500);
  }

  async #files(): Promise<string[]> {
    return [...(await filesBelow(join(this.dir, 'data'))), ...(await filesBelow(join(this.dir, 'tmp')))];
  }

  /** How many images the server takes in at a time: none of its places is lost. */
  async #freePlaces(): Promise<number> {
    const { host, port } = new URL(this.server.url);
    const { bytes } = this.seeds.find(({ name }) => name === 'PNG gray')!;
    const head = `POST /v1/segment?model=plain HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nContent-Length: ${bytes.length}\r\n\r\n`;
    const send = [Buffer.concat([Buffer.from(head), bytes.subarray(0, 40)]), 700, bytes.subarray(40)];
    const answers = await Promise.all(
      Array.from({ length: QUEUE }, () => exchange(Number(port), { send, next: 'wait' })),
    );
    return answers.filter(({ status }) => status === 200).length;
  }

  #workerRestarts(): number {
    return this.#watch.restarts['worker/main.js'] ?? 0;
  }
}

const mutate = (seed: Seed, random: Random) =>
  (seed.format === 'tiff' ? mutateTiff : mutatePicture)(seed, random);

/** Calls for each number up to `count`, several at a time. */
async function inTurns(count: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (next < count) await work(next++);
    }),
  );
}

/** A small network whose classes have no colours: its overlays are the images as they were read. */
async function writePlainModel(models: string, name: string, inputChannels: 1 | 3): Promise<void> {
  const engine = Engine.start({ provider: 'cpu', threads: 1 });
  const folder = join(models, name, '1');
  await mkdir(join(models, name), { recursive: true });
  await writeUntrained(engine, folder, { channels: [4, 8], inputChannels, classes: 2, seed: 1 });
  await engine.close();
  const path = join(folder, 'card.json');
  const card = JSON.parse(await readFile(path, 'utf8')) as { classes: { colour: string | null }[] };
  const classes = card.classes.map((known) => ({ ...known, colour: null }));
  await writeFile(path, JSON.stringify({ ...card, name, classes }));
}
