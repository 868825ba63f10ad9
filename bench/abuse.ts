import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Judge } from './abuse/judge.js';
import { Oracle } from './abuse/oracle.js';
import { idleBytes, ProcessWatch } from './abuse/processes.js';
import { Sender } from './abuse/sender.js';
import { FAULTS, type Fault, Surprises } from './abuse/surprises.js';
import { Testbed } from './abuse/testbed.js';
import type { Bench } from './bench.js';

/** Images to send: `images` are segmented, `headers` only planned, and `stored` are jobs by path or URL. */
const COUNTS = { images: 4400, headers: 1200, stored: 600, requests: 2000 };
/** Sent first, so that every process and cache of the server exists when memory is first measured. */
const WARM_UP = { images: 1000, headers: 50, stored: 50, requests: 500 };
const CONNECTIONS = 6;
const OUTPUT_FOLDER = resolve('out', 'abuse');
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
 * Sends thousands of damaged images and requests to a server over several connections while it segments valid
 * slides, and checks every response against what the damage allows. Images that the server accepts are compared
 * with what independent decoders read, by means of a model whose overlays are the pixels themselves. Limits: no
 * crash, hang, unnamed error, wrong pixel or leaked path; every valid slide succeeds; afterwards no file remains,
 * no place in the queue is taken, and idle memory has grown by a tenth at most. Everything is drawn from fixed
 * seeds; cases that violate an expectation are saved in `out/abuse`.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const oracle = await Oracle.start();
  const testbed = await Testbed.setUp(dir);
  try {
    return await abuse(testbed, oracle, await Surprises.open(OUTPUT_FOLDER), log);
  } finally {
    await testbed.tearDown();
    oracle?.close();
    await rm(dir, { recursive: true, force: true });
  }
};

async function abuse(
  testbed: Testbed,
  oracle: Oracle | null,
  surprises: Surprises,
  log: (line: string) => void,
) {
  const started = performance.now();
  const { server, seeds } = testbed;
  let crashes = 0;
  server.child.once('exit', () => crashes++);
  const watch = new ProcessWatch(server.child.pid!);
  const workers = () => watch.restarts['worker/main.js'] ?? 0;
  const judge = new Judge(oracle, surprises, testbed.dir);
  const sender = new Sender(server.url, join(testbed.dir, 'slides'), testbed.imageHost, seeds, judge);
  const runAll = async (what: string, count: number, work: (i: number) => Promise<void>): Promise<void> => {
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

  const undisturbed = await testbed.slide();
  await testbed.clear();
  const before = new Set(await testbed.files());
  let [innocents, innocentsFailed] = [0, 0];
  /** Runs `work` while the server segments one valid slide after another. */
  const whileSegmentingSlides = async (work: () => Promise<void>): Promise<void> => {
    let isOver = false;
    const slides = async () => {
      while (!isOver && crashes === 0) {
        const job = await testbed.slide();
        if (job !== null && job.digest === undisturbed?.digest) innocents++;
        else innocentsFailed++;
      }
    };
    const running = slides();
    await work().finally(() => (isOver = true));
    await running;
  };

  // Memory is first measured after some of every kind: by then all processes of the server have started.
  let endedJob = 'none';
  await whileSegmentingSlides(async () => {
    await runAll('valid images', seeds.length, (i) => sender.sound(i));
    await runAll('images to warm up', WARM_UP.images, (i) => sender.image(i, 'warm-up'));
    await runAll('headers to warm up', WARM_UP.headers, (i) => sender.header(COUNTS.headers + i));
    await runAll('stored images to warm up', WARM_UP.stored, (i) => sender.stored(COUNTS.stored + i));
    endedJob = (await testbed.slide())?.id ?? endedJob;
    await runAll('requests to warm up', WARM_UP.requests, (i) =>
      sender.request(COUNTS.requests + i, endedJob),
    );
  });
  await testbed.clear();
  await testbed.placesTaken(); // as before the final measurement below
  const warmBytes = await idleBytes(server.child.pid!);

  let restartsByHeaders = 0;
  const restartsBefore = workers();
  await whileSegmentingSlides(async () => {
    await runAll('plans', COUNTS.headers, (i) => sender.header(i));
    restartsByHeaders = workers() - restartsBefore;
    await runAll('images', COUNTS.images, (i) => sender.image(i));
    await runAll('images by path and URL', COUNTS.stored, (i) => sender.stored(i));
    endedJob = (await testbed.slide())?.id ?? endedJob;
    await runAll('requests', COUNTS.requests, (i) => sender.request(i, endedJob));
  });
  const seconds = Math.round((performance.now() - started) / 1000);

  await testbed.clear();
  const leftovers = (await testbed.files()).filter((file) => !before.has(file));
  for (const file of leftovers.slice(0, 9)) log(`leftover: ${file}`);
  const placesTaken = await testbed.placesTaken();
  const endBytes = await idleBytes(server.child.pid!);
  watch.stop();
  const figures = {
    ...surprises.counts,
    crashes,
    restartsByHeaders,
    innocentsFailed,
    innocentsLeast: innocents,
    filesLeft: leftovers.length,
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
    agreed: oracle ? judge.agreed : 'not compared: needs Python with tifffile, imagecodecs and Pillow',
    refused: judge.refused,
    slow: surprises.slow,
    restarts: watch.restarts,
    memoryMb: { warm: inMb(warmBytes), end: inMb(endBytes) },
    decoders: oracle?.versions ?? null,
    surprises: OUTPUT_FOLDER,
    limits: LIMITS,
    holds,
  };
}

const sumOf = (bytes: Record<string, number>): number =>
  Object.values(bytes).reduce((sum, each) => sum + each, 0);
const inMb = (bytes: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(bytes).map(([name, each]) => [name, Math.round(each / 1e6)]));
