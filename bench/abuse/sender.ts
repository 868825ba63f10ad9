import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobView } from '../../server/contract/schemas/job.js';
import { pause } from '../server.js';
import type { Judge } from './judge.js';
import { mutatePicture } from './mutate-picture.js';
import { mutateTiff } from './mutate-tiff.js';
import type { Expectation } from './mutation.js';
import type { Verdict } from './oracle.js';
import { Random } from './random.js';
import { exchange } from './raw-http.js';
import { mutateRequest } from './requests.js';
import { type HttpResponse, isNamedCode, sendRequest, TIMEOUT_MS } from './responses.js';
import type { Seed } from './seeds.js';
import { makeZarrSeeds, mutateZarr, writeZarr } from './zarrs.js';

/** The first random seed of each phase, so that its nth image or request is the same in every run. */
const FIRST_SEED = {
  image: 0,
  'warm-up': 1_000_000,
  header: 2_000_000,
  stored: 3_000_000,
  request: 4_000_000,
};

/** Sends damaged images and requests, each made from its number alone, and passes the responses to the judge. */
export class Sender {
  /** @param imageHost host and port that serve the folder `slides` over HTTP */
  constructor(
    private readonly url: string,
    private readonly slides: string,
    private readonly imageHost: string,
    private readonly seeds: readonly Seed[],
    private readonly judge: Judge,
  ) {}

  /** Segments an undamaged image. */
  sound(number: number): Promise<void> {
    const seed = this.seeds[number]!;
    return this.#segment('sound', number, seed, { what: 'nothing', bytes: seed.bytes, expect: 'sound' });
  }

  /** Segments a damaged image. */
  image(number: number, phase: 'image' | 'warm-up' = 'image'): Promise<void> {
    const { seed, ...mutation } = this.#mutated(new Random(FIRST_SEED[phase] + number), this.seeds);
    return this.#segment(phase, number, seed, mutation);
  }

  async #segment(
    phase: string,
    number: number,
    seed: Seed,
    { what, bytes, expect }: { what: string; bytes: Buffer; expect: Expectation | 'sound' },
  ): Promise<void> {
    const query = `model=${seed.model}&output=overlay${seed.query}`;
    const response = await sendRequest(`${this.url}/v1/segment?${query}`, { method: 'POST', body: bytes });
    const compared = response.status === 200 && expect !== 'refused';
    const verdict = compared ? await this.judge.compare(`${phase}-${number}`, bytes, response, seed) : null;
    const about = { phase, number, subject: seed.name, what, expected: expect };
    await this.judge.record(about, response, verdict, bytes);
  }

  /** Plans a damaged image, of which only the header is read. */
  async header(number: number): Promise<void> {
    const { seed, what, bytes } = this.#mutated(new Random(FIRST_SEED.header + number), this.seeds);
    const query = `model=${seed.model}${seed.query}`;
    const response = await sendRequest(`${this.url}/v1/plan?${query}`, { method: 'POST', body: bytes });
    const about = { phase: 'header', number, subject: seed.name, what, expected: 'either' } as const;
    await this.judge.record(about, response, null, bytes);
  }

  /** Runs a job on a damaged OME-Zarr or TIFF, by path or by URL. */
  async stored(number: number): Promise<void> {
    const random = new Random(FIRST_SEED.stored + number);
    const byUrl = random.chance(0.4);
    const where = byUrl ? 'URL' : 'path';
    const zarr = random.chance(0.75);
    const name = `${number}.${zarr ? 'zarr' : 'tif'}`;
    const path = join(this.slides, name);
    const source = byUrl ? { url: `http://${this.imageHost}/${name}` } : { path: name };
    let [model, facts]: [string, Pick<Seed, 'name' | 'query' | 'planes' | 'tolerance'>] = [
      'plain',
      { name: '', query: '', planes: [0], tolerance: 0 },
    ];
    let damage: { readonly what: string; readonly expect: Expectation };
    if (zarr) {
      const store = random.pick(makeZarrSeeds());
      const damaged = mutateZarr(store, random);
      await writeZarr(path, damaged);
      facts = { ...facts, name: store.name };
      damage = damaged;
    } else {
      const damaged = this.#mutated(
        random,
        this.seeds.filter(({ format }) => format === 'tiff'),
      );
      await writeFile(path, damaged.bytes);
      [model, facts] = [damaged.seed.model, damaged.seed];
      damage = damaged;
    }
    const choice = Object.fromEntries(new URLSearchParams(facts.query));
    const request = { source, model, output: 'overlay', priority: 'interactive', ...choice };
    const { response, verdict } = await this.#job(request, (overlay) =>
      this.judge.compare(`stored-${number}`, path, overlay, facts),
    );
    const subject = `${facts.name} by ${where}`;
    const about = { phase: 'stored', number, subject, what: damage.what, expected: damage.expect };
    await this.judge.record(about, response, verdict, path);
    await rm(path, { recursive: true });
  }

  /**
   * Sends an invalid or unusual request.
   * @param job the id of a job that has ended
   */
  async request(number: number, job: string): Promise<void> {
    const { host, port } = new URL(this.url);
    const image = this.seeds.find(({ name }) => name === 'PNG gray')!.bytes;
    const targets = { host, model: 'plain', image, job, slide: 'seed.tif' };
    const { what, expect, ...sent } = mutateRequest(targets, new Random(FIRST_SEED.request + number));
    const response = await exchange(Number(port), sent);
    const about = { phase: 'request', number, subject: 'request', what, expected: expect };
    const input = Buffer.concat(sent.send.filter((part) => typeof part !== 'number'));
    await this.judge.record(about, response, null, input);
  }

  #mutated(random: Random, seeds: readonly Seed[]) {
    const seed = random.pick(seeds);
    return { seed, ...(seed.format === 'tiff' ? mutateTiff : mutatePicture)(seed, random) };
  }

  /** Runs a job to its end; its overlay or error is returned as if it were a synchronous response. */
  async #job(
    request: object,
    compare: (overlay: HttpResponse) => Promise<Verdict | null>,
  ): Promise<{ readonly response: HttpResponse; readonly verdict: Verdict | null }> {
    const started = performance.now();
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify(request);
    const first = await sendRequest(`${this.url}/v1/jobs`, { method: 'POST', headers, body });
    if (first.status !== 202) return { response: first, verdict: null };
    const { id } = JSON.parse(first.body.toString()) as JobView;
    const job = await jobEnded(this.url, id, 15);
    const ms = performance.now() - started;
    const overlay =
      job?.state === 'succeeded'
        ? await sendRequest(`${this.url}/v1/jobs/${id}/result?output=overlay`)
        : null;
    const verdict = overlay?.status === 200 ? await compare(overlay) : null;
    await sendRequest(`${this.url}/v1/jobs/${id}`, { method: 'DELETE' });
    return { response: overlay ? { ...overlay, ms } : { ...responseOf(job), ms }, verdict };
  }
}

/** Waits for a job to end; null if it does not in time, or if the server is gone. */
export async function jobEnded(url: string, id: string, pollMs: number): Promise<JobView | null> {
  const started = performance.now();
  while (performance.now() - started < 3 * TIMEOUT_MS) {
    const { status, body } = await sendRequest(`${url}/v1/jobs/${id}`);
    if (status !== 200) return null;
    const job = JSON.parse(body.toString()) as JobView;
    if (job.state !== 'queued' && job.state !== 'running') return job;
    await pause(pollMs);
  }
  return null;
}

/** The error of a job as the response to a synchronous request would have been. */
function responseOf(job: JobView | null): Omit<HttpResponse, 'ms'> {
  const code = job?.error?.code ?? 'none';
  const named = isNamedCode(code);
  const problem = { type: `urn:unseam:problem:${code}`, status: 422, detail: job?.error?.detail };
  return {
    status: code === 'internal' ? 500 : named ? 422 : 0,
    type: named ? 'application/problem+json' : `the job ${job?.state}: ${code}`,
    body: Buffer.from(JSON.stringify(problem)),
    hung: job === null,
  };
}
