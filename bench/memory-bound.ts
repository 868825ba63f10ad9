import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { Engine } from '../model/engine/engine.js';
import { DEFAULTS } from '../server/config.js';
import { writeUntrained } from '../test/support/untrained.js';
import type { Bench } from './bench.js';
import { BenchServer, pause, proportionalBytes } from './server.js';
import { writeSlide } from './slide.js';

/** Channels of the first level of the untrained models, beside one of the package. */
const WIDTHS = [8, 16, 32];
const PACKAGED = 'em-membrane';
const BOUNDS_GIB = [1, 2, 4];
const CLIENTS = 8;
const POLL_MS = 50;
const LIMITS = { peakShareOfBound: 1, resultsThatDiffer: 0 };
const ALL = 'labels,probabilities,overlay,geojson,objects,instances,thumbnail';
const MASKS = /\.(tif|png|geojson|csv)$/;

interface Request {
  readonly file: string;
  readonly query: string;
}

/**
 * Holds a server to `--memory` while it has four models, all outputs and pixel types, symmetries, thresholds and large
 * tiles in use at once, under bounds of 1, 2 and 4 GiB: the peak of the memory of the server, its worker and its readers
 * together, sampled every 50 ms. Pages that processes share, such as Node's own code, count once. All results
 * have to be those of a server without a bound.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  try {
    const models = join(dir, 'models');
    await writeModels(models);
    const requests = requestsFor(await writeImages(dir));
    const expected = (await runAll(dir, models, null, requests)).results;
    const peaksMib: number[] = [];
    const seconds: number[] = [];
    let resultsThatDiffer = 0;
    for (const bound of BOUNDS_GIB) {
      const run = await runAll(dir, models, bound, requests);
      const differing = run.results.filter((result, i) => result !== expected[i]);
      resultsThatDiffer += differing.length;
      peaksMib.push(Math.round(run.peak / 2 ** 20));
      seconds.push(Math.round(run.ms / 1000));
      log(
        `${bound} GiB: ${peaksMib.at(-1)} MiB at most, ${seconds.at(-1)} s, ${differing.length} results differ`,
      );
    }
    const peakShares = peaksMib.map((peak, i) => Number((peak / 1024 / BOUNDS_GIB[i]!).toFixed(3)));
    const holds = Math.max(...peakShares) <= LIMITS.peakShareOfBound && resultsThatDiffer === 0;
    const figures = { boundsGib: BOUNDS_GIB, peaksMib, peakShares, seconds, requests: requests.length };
    return { ...figures, resultsThatDiffer, limits: LIMITS, holds };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

async function writeModels(folder: string): Promise<void> {
  await mkdir(folder);
  await cp(join(DEFAULTS.models, PACKAGED), join(folder, PACKAGED), { recursive: true });
  const engine = Engine.start({ provider: 'cpu', threads: 2 });
  for (const width of WIDTHS) {
    const channels = [width, 2 * width, 4 * width, 8 * width];
    const unet = { channels, inputChannels: width === 8 ? 3 : 1, classes: 2, seed: width } as const;
    const name = `width-${width}`;
    await writeUntrained(engine, join(folder, name, '1'), unet, name);
  }
  await engine.close();
}

/** One picture of textures in gray with 8 and 16 bits and in colour, and a small one. */
async function writeImages(
  dir: string,
): Promise<{ readonly large: readonly string[]; readonly small: string }> {
  const slide = join(dir, 'gray8.tif');
  await writeSlide(slide, 'membranes', { width: 900, height: 800 });
  const paths = { gray16: join(dir, 'gray16.tif'), rgb: join(dir, 'rgb.png'), small: join(dir, 'small.png') };
  await sharp(slide).toColourspace('grey16').tiff({ compression: 'deflate' }).toFile(paths.gray16);
  await sharp(slide).toColourspace('srgb').png().toFile(paths.rgb);
  await sharp(slide).extract({ left: 100, top: 100, width: 250, height: 200 }).png().toFile(paths.small);
  return { large: [slide, paths.gray16, paths.rgb], small: paths.small };
}

/** Every model with every image, and with what has a graph of its own, in an order that mixes them. */
function requestsFor({ large, small }: Awaited<ReturnType<typeof writeImages>>): Request[] {
  const models = [PACKAGED, ...WIDTHS.map((width) => `width-${width}`)];
  const each = models.map((model) => [
    ...large.map((file) => ({ file, query: `model=${model}&output=${ALL}` })),
    { file: large[0]!, query: `model=${model}&output=labels,geojson&threshold=0.4&priority=bulk` },
    { file: large[1]!, query: `model=${model}&output=probabilities&tile=412` },
    { file: small, query: `model=${model}&output=${ALL}&tta=1&priority=interactive` },
    { file: small, query: `model=${model}&output=labels&priority=interactive` },
  ]);
  return each[0]!.flatMap((_, i) => each.map((requests) => requests[i]!));
}

/**
 * Runs all requests on a server of its own, `CLIENTS` at a time.
 * @param boundGib of its memory; null for the default
 * @returns a digest of the files of each request, and the peak memory of all processes in bytes
 */
async function runAll(
  dir: string,
  models: string,
  boundGib: number | null,
  requests: readonly Request[],
): Promise<{ readonly results: readonly string[]; readonly peak: number; readonly ms: number }> {
  const data = join(dir, 'data');
  const memory = boundGib === null ? [] : ['--memory', `${boundGib}G`];
  const server = await BenchServer.start(data, ['--models', models, ...memory]);
  let peak = 0;
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      peak = Math.max(peak, await proportionalBytes(server.child.pid!));
      await pause(POLL_MS);
    }
  })();
  const started = performance.now();
  const results: string[] = [];
  const pending = [...requests.entries()];
  const client = async () => {
    for (let next = pending.shift(); next; next = pending.shift()) {
      const [i, { file, query }] = next;
      const { id } = await server.submit(file, query);
      const job = await server.ended(id);
      if (job.state !== 'succeeded') throw new Error(`${query}: the job ${job.state}: ${job.error?.detail}`);
      results[i] = await digestOf(join(data, 'jobs', id));
    }
  };
  try {
    await Promise.all(Array.from({ length: CLIENTS }, client));
  } finally {
    isOver = true;
    await watching;
    await server.stop();
    await rm(data, { recursive: true });
  }
  return { results, peak, ms: performance.now() - started };
}

/** SHA-256 of a job's results. */
async function digestOf(folder: string): Promise<string> {
  const hash = createHash('sha256');
  const names = (await readdir(folder)).filter((name) => MASKS.test(name)).sort();
  if (names.length === 0) throw new Error(`${folder} has no results`);
  for (const name of names) hash.update(name).update(await readFile(join(folder, name)));
  return hash.digest('hex');
}
