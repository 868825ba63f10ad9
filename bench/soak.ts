import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { calibrate, warmUp, warmUpHeaps } from '../loadtest/calibrate.js';
import { type Outcome, sendImage } from '../loadtest/images.js';
import { removeJob, runJob } from '../loadtest/jobs.js';
import { drawArrivals } from '../loadtest/measure/arrivals.js';
import { Ledger } from '../loadtest/measure/ledger.js';
import { sendOnSchedule, wallClock } from '../loadtest/measure/open-loop.js';
import { Random } from '../loadtest/measure/random.js';
import { drawImage, makeSamples, type Samples } from '../loadtest/samples.js';
import { Target } from '../loadtest/target.js';
import { scriptOf } from './abuse/processes.js';
import type { BenchOptions, BenchResult } from './bench.js';
import { BenchServer, childrenOf, pause } from './server.js';
import { commitFaults } from './soak/faults.js';
import { trendsOf } from './soak/trends.js';
import { type Sighting, Watch } from './soak/watch.js';

const MODEL = 'shapes';
/** The rate of images, as a share of what the server does: slides, faults and restarts take the rest. */
const UTILISATION = 0.25;
const CONNECTIONS = 16;
/** Time of the load that is not looked at: its faults, too, have to warm up. Of shorter soaks, a quarter. */
const WARM_UP_S = 300;
/** Idle connections have been closed by then, and idle readers have ended. */
const REST_MS = 45_000;
const LIMITS = {
  lost: 0,
  wrong: 0,
  surprises: 0,
  crashes: 0,
  growing: 0,
  filesLeft: 0,
  descriptorsLeft: 0,
  placesTaken: 0,
};

/** The command line's options for this benchmark. */
export const options = {
  minutes: { type: 'string', default: '30' },
  'kill-every': { type: 'string', default: '60' },
} as const;

/**
 * Runs a server for half an hour under mixed load, with uploads that break off, clients that leave, cancelled jobs,
 * damaged files and a worker that is killed each minute. Limits: no request or job is lost, no mask differs from that of
 * one pass, nothing is answered as it should not be; resident memory, file descriptors and sockets of the server, of its
 * worker and of its reader, and the files in its data folder, do not grow; at rest, files and descriptors are as before,
 * and no place for uploads is taken.
 *
 * A series grows if its slope is above zero beyond its noise: the slope is the median of those of all pairs of readings
 * (Theil-Sen), and its interval of 99 % is drawn from how the readings scatter (a block bootstrap); see
 * `loadtest/measure/trend.ts`. Thousands of requests are sent first, the first five minutes are left out, and the
 * worker's series are corrected for its age.
 */
export const bench = async (log: (line: string) => void, values: BenchOptions): Promise<BenchResult> => {
  const seconds = 60 * Number(values.minutes);
  const killEveryS = Number(values['kill-every']);
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  for (const folder of ['samples', 'tmp']) await mkdir(join(dir, folder));
  const samples = await makeSamples(join(dir, 'samples'), MODEL, 1);
  const server = await BenchServer.start(join(dir, 'data'), [], {
    TMPDIR: join(dir, 'tmp'),
  });
  const target = new Target(server.url, null, new Ledger());
  try {
    return await soak({ server, target, samples, dir, seconds, killEveryS, log });
  } finally {
    target.close();
    if (server.child.exitCode === null && server.child.signalCode === null) await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
};

interface Soak {
  readonly server: BenchServer;
  readonly target: Target;
  readonly samples: Samples;
  readonly dir: string;
  readonly seconds: number;
  readonly killEveryS: number;
  readonly log: (line: string) => void;
}

async function soak({ server, target, samples, dir, seconds, killEveryS, log }: Soak): Promise<BenchResult> {
  const random = new Random(1);
  let crashes = 0;
  server.child.once('exit', () => crashes++);
  await warmUp(target, MODEL, samples);
  const { several } = await calibrate(target, MODEL, samples, random);
  for (const id of target.jobs.keys()) await removeJob(target, id);
  log('warming up');
  await warmUpHeaps(target, MODEL, samples);
  const watch = new Watch(server.child.pid!, [join(dir, 'data'), join(dir, 'tmp')]);
  await pause(REST_MS);
  const before = await watch.look();
  log(`at rest: ${JSON.stringify(before.values)}`);

  let isOver = false;
  const ended = () => isOver || crashes > 0;
  const tally = new Tally(log);
  watch.start();
  const rate = UTILISATION * several.imagesPerSecond;
  const arrivals = drawArrivals(random, rate, seconds, () => drawImage(random, samples.images));
  log(`${arrivals.length} images at ${rate.toFixed(1)} a second`);
  const images = sendOnSchedule(arrivals, CONNECTIONS, wallClock, async (sample) => {
    if (crashes === 0) await tally.run(() => sendImage(target, MODEL, sample));
  }).finally(() => (isOver = true));
  const [faults, kills] = await Promise.all([
    commitFaults(target, samples, random, MODEL, ended),
    killWorkers(server, killEveryS, ended),
    runSlides(target, samples, tally, ended),
    reportProgress(watch, tally, seconds, ended, log),
    images,
  ]);
  await watch.stop();

  await pause(REST_MS);
  const after = await watch.look();
  log(`at rest: ${JSON.stringify(after.values)}`);
  const metrics = await target.metrics();
  const warmUpS = Math.min(WARM_UP_S, seconds / 4);
  const trends = trendsOf(
    watch.sightings.filter(({ atS }) => atS >= warmUpS),
    killEveryS > 0,
  );
  const figures = {
    lost: tally.lost,
    wrong: tally.wrong,
    surprises: faults.surprises.length,
    crashes,
    growing: Object.values(trends).filter((trend) => !trend.isLevel).length,
    filesLeft: grownBy(before, after, 'files in the data folder'),
    descriptorsLeft: grownBy(before, after, 'server: file descriptors'),
    placesTaken: metrics.sum('unseam_uploads_receiving') + metrics.sum('unseam_upload_reserved_bytes'),
  };
  return {
    minutes: seconds / 60,
    right: tally.right,
    refused: tally.refused,
    kills,
    faults: faults.counts,
    ...figures,
    problems: [...tally.problems, ...faults.surprises].slice(0, 20),
    growingSeries: Object.keys(trends).filter((name) => !trends[name]!.isLevel),
    trends,
    atRest: { before: before.values, after: after.values },
    limits: LIMITS,
    holds: (Object.keys(LIMITS) as (keyof typeof LIMITS)[]).every((name) => figures[name] <= LIMITS[name]),
  };
}

const grownBy = (before: Sighting, after: Sighting, name: string): number =>
  (after.values[name] ?? Number.NaN) - (before.values[name] ?? 0);

/** What became of the images and slides that are valid. */
class Tally {
  right = 0;
  wrong = 0;
  lost = 0;
  refused = 0;
  readonly problems: string[] = [];

  constructor(private readonly log: (line: string) => void) {}

  /** Sends a request again, as long as it is refused because the server is busy. */
  async run<Each extends Outcome>(send: () => Promise<Each>): Promise<Each> {
    for (;;) {
      const outcome = await send();
      if (outcome.verdict === 'refused') {
        this.refused++;
        await pause(2000);
        continue;
      }
      if (outcome.verdict === 'right') this.right++;
      else if (outcome.verdict === 'wrong') this.wrong++;
      else this.lost++;
      if (outcome.problem !== null) {
        this.problems.push(`${outcome.sample.name}: ${outcome.problem}`);
        this.log(this.problems.at(-1)!);
      }
      return outcome;
    }
  }
}

/** One slide after the other, each compared and removed. */
async function runSlides(
  target: Target,
  { slides }: Samples,
  tally: Tally,
  isOver: () => boolean,
): Promise<void> {
  for (let i = 0; !isOver(); i++) {
    const { id } = await tally.run(() => runJob(target, MODEL, slides[i % slides.length]!, 'bulk'));
    if (id !== null) await removeJob(target, id);
  }
}

/** Kills the worker with SIGKILL, again and again; returns how often. */
async function killWorkers(server: BenchServer, everyS: number, isOver: () => boolean): Promise<number> {
  let kills = 0;
  let next = performance.now() + everyS * 1000;
  while (!isOver()) {
    await pause(500);
    if (everyS <= 0 || performance.now() < next) continue;
    next += everyS * 1000;
    for (const child of await childrenOf(server.child.pid!)) {
      if ((await scriptOf(child)) !== 'worker/main.js') continue;
      process.kill(child, 'SIGKILL');
      kills++;
    }
  }
  return kills;
}

async function reportProgress(
  { sightings }: Watch,
  tally: Tally,
  seconds: number,
  isOver: () => boolean,
  log: (line: string) => void,
): Promise<void> {
  for (let nextS = 60; !isOver(); ) {
    await pause(500);
    const last = sightings.at(-1);
    if (last === undefined || last.atS < nextS) continue;
    nextS += 60;
    const { right, wrong, lost, refused } = tally;
    const values = Object.entries(last.values).map(([name, value]) => `${name} ${Math.round(value)}`);
    log(
      `${Math.round(last.atS)} of ${seconds} s: ${right} right, ${wrong} wrong, ${lost} lost, ${refused} refused; ${values.join(', ')}`,
    );
  }
}
