import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Judge } from './abuse/judge.js';
import { Oracle } from './abuse/oracle.js';
import { idleBytes, ProcessWatch } from './abuse/processes.js';
import { Sender } from './abuse/sender.js';
import { Stage } from './abuse/stage.js';
import { FAULTS, type Fault, Surprises } from './abuse/surprises.js';
import type { Bench } from './bench.js';

/** Images: `headers` are planned only, `stored` are jobs of what lies in a folder, or at an address. */
const COUNTS = { images: 4400, headers: 1200, stored: 600, requests: 2000 };
/** Before what is counted. */
const WARM_UP = { images: 200, headers: 50, stored: 50, requests: 500 };
const CONNECTIONS = 6;
const KEEP = resolve('out', 'abuse');
const LIMITS = {
  ...(Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>),
  crashes: 0,
  restartsByHeaders: 0,
  innocentsFailed: 0,
  innocentsLeast: 3,
  filesLeft: 0,
  placesTaken: 0,
  memoryGrowth: 0.1,
};

/**
 * Thousands of broken images and requests, each with what its structure says must come of it, sent to a
 * server over several connections while it works through sound slides. What is answered as an image is
 * compared with decoders that are not ours, through a model whose overlays are the pixels themselves.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const oracle = await Oracle.start();
  const stage = await Stage.set(dir);
  try {
    return await abuse(stage, oracle, await Surprises.open(KEEP), log);
  } finally {
    await stage.strike();
    oracle?.close();
    await rm(dir, { recursive: true, force: true });
  }
};

async function abuse(stage: Stage, oracle: Oracle | null, surprises: Surprises, log: (line: string) => void) {
  const started = performance.now();
  const { server, seeds } = stage;
  let crashes = 0;
  server.child.once('exit', () => crashes++);
  const watch = new ProcessWatch(server.child.pid!);
  const workers = () => watch.restarts['worker/main.js'] ?? 0;
  const judge = new Judge(oracle, surprises, stage.dir);
  const sender = new Sender(server.url, join(stage.dir, 'slides'), stage.imageHost, seeds, judge);
  const inTurns = async (what: string, count: number, work: (i: number) => Promise<void>): Promise<void> => {
    let next = 0;
    const connection = async () => {
      while (next < count && crashes === 0) {
        const i = next++;
        await work(i);
        if (i % 500 === 499) log(`${i + 1} of ${count} ${what}, ${JSON.stringify(surprises.counts)}`);
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, connection));
    log(`${count} ${what}, ${JSON.stringify(surprises.counts)}`);
  };

  const whole = await stage.slide(); // what an undisturbed server makes of it
  await stage.clear();
  const before = new Set(await stage.files());
  let [innocents, innocentsFailed] = [0, 0];
  /** Runs `work` while the server makes one sound slide after the other. */
  const besideSlides = async (work: () => Promise<void>): Promise<void> => {
    let over = false;
    const slides = async () => {
      while (!over && crashes === 0) {
        const job = await stage.slide();
        if (job !== null && job.digest === whole?.digest) innocents++;
        else innocentsFailed++;
      }
    };
    const throughout = slides();
    await work().finally(() => (over = true));
    await throughout;
  };

  // What the server takes of memory once it has seen some of everything: all of its processes are there.
  let ended = 'none';
  await besideSlides(async () => {
    await inTurns('sound images', seeds.length, (i) => sender.sound(i));
    await inTurns('images to warm up', WARM_UP.images, (i) => sender.image(i, 'warm-up'));
    await inTurns('headers to warm up', WARM_UP.headers, (i) => sender.header(COUNTS.headers + i));
    await inTurns('stored images to warm up', WARM_UP.stored, (i) => sender.stored(COUNTS.stored + i));
    ended = (await stage.slide())?.id ?? ended;
    await inTurns('requests to warm up', WARM_UP.requests, (i) => sender.request(COUNTS.requests + i, ended));
  });
  await stage.clear();
  await stage.placesTaken(); // as before the other measure, below
  const warmBytes = await idleBytes(server.child.pid!);

  let restartsByHeaders = 0;
  const restartsBefore = workers();
  await besideSlides(async () => {
    await inTurns('images planned', COUNTS.headers, (i) => sender.header(i));
    restartsByHeaders = workers() - restartsBefore;
    await inTurns('images', COUNTS.images, (i) => sender.image(i));
    await inTurns('images by path and URL', COUNTS.stored, (i) => sender.stored(i));
    ended = (await stage.slide())?.id ?? ended;
    await inTurns('requests', COUNTS.requests, (i) => sender.request(i, ended));
  });
  const seconds = Math.round((performance.now() - started) / 1000);

  await stage.clear();
  const left = (await stage.files()).filter((file) => !before.has(file));
  for (const file of left.slice(0, 9)) log(`left: ${file}`);
  const placesTaken = await stage.placesTaken();
  const endBytes = await idleBytes(server.child.pid!);
  watch.stop();
  const figures = {
    ...surprises.counts,
    crashes,
    restartsByHeaders,
    innocentsFailed,
    innocentsLeast: innocents,
    filesLeft: left.length,
    placesTaken,
    memoryGrowth: Number((sumOf(endBytes) / sumOf(warmBytes) - 1).toFixed(3)),
  };
  const holds = (Object.keys(LIMITS) as (keyof typeof LIMITS)[]).every((name) =>
    name === 'innocentsLeast' ? figures[name] >= LIMITS[name] : figures[name] <= LIMITS[name],
  );
  return {
    images: COUNTS.images + COUNTS.stored,
    planned: COUNTS.headers,
    requests: COUNTS.requests,
    seconds,
    ...figures,
    agreed: oracle ? judge.agreed : 'not compared: Python with tifffile, imagecodecs and Pillow is missing',
    refused: judge.refused,
    slow: surprises.slow,
    restarts: watch.restarts,
    memoryMb: { warm: inMb(warmBytes), end: inMb(endBytes) },
    decoders: oracle?.versions ?? null,
    surprises: KEEP,
    limits: LIMITS,
    holds,
  };
}

const sumOf = (bytes: Record<string, number>): number =>
  Object.values(bytes).reduce((sum, each) => sum + each, 0);
const inMb = (bytes: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(bytes).map(([name, each]) => [name, Math.round(each / 1e6)]));
