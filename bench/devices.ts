import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Engine } from '../model/engine/engine.js';
import { type Bench, median } from './bench.js';
import { inLanes } from './plain-loop.js';
import { BenchServer } from './server.js';
import { writeSlide } from './slide.js';

const MODEL = 'em-membrane';
const SIZE = { width: 4000, height: 4000 };
/** The tile of both servers: they would measure different ones. */
const TILE = 652;
const RUNS = 3;
/** Jobs that are sent together, whose shares of the devices are compared. */
const JOBS = 3;
/** Tiles that the bare lanes compute in each run. */
const BARE_TILES = 24;
/**
 * `speedupOfBare`: a slide's time on one device by that on two, as a share of what two bare lanes gain, which have
 * neither files nor processes. `differing`: masks. `spread`: the slowest of equal jobs that start together, by the
 * fastest.
 */
const LIMITS = { speedupOfBare: 0.9, differing: 0, spread: 1.15 };

/**
 * Compares a server on two devices, which are CPUs of one thread each in processes of their own, with one on one of them:
 * a slide, in turns, and several equal slides together on two. What two cores gain at best is that of bare lanes.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  try {
    const input = join(dir, 'slide.tif');
    await writeSlide(input, 'membranes', SIZE);
    const start = (name: string, device: string) =>
      BenchServer.start(join(dir, name), ['--device', device, '--threads', '1']);
    const servers = { one: await start('one', 'cpu:0'), two: await start('two', 'cpu:0,cpu:1') };
    const engine = Engine.start({ provider: 'cpu', threads: 2 });
    const { id } = await engine.load(fileURLToPath(new URL(`../../models/${MODEL}/1`, import.meta.url)));
    const times: Record<keyof typeof servers, number[]> = { one: [], two: [] };
    const bareTimes: typeof times = { one: [], two: [] };
    const masks: Buffer[] = [];
    for (let run = -1; run < RUNS; run++) {
      for (const name of ['one', 'two'] as const) {
        const { seconds, mask } = await segment(servers[name], input);
        if (run >= 0) times[name].push(seconds); // the first round warms up
        masks.push(mask);
        const bareSeconds = await computeBare(engine, id, name === 'one' ? 1 : 2);
        if (run >= 0) bareTimes[name].push(bareSeconds);
        log(`${name}: ${seconds.toFixed(2)} s, bare ${bareSeconds.toFixed(2)} s`);
      }
    }
    await engine.close();
    const together = await Promise.all(Array.from({ length: JOBS }, () => segment(servers.two, input)));
    for (const { mask } of together) masks.push(mask);
    const shares = together.map(({ seconds }) => seconds);
    log(`together: ${shares.map((seconds) => `${seconds.toFixed(2)} s`).join(', ')}`);
    await Promise.all(Object.values(servers).map((server) => server.stop()));

    const gain = ({ one, two }: typeof times) => Number((median(one) / median(two)).toFixed(3));
    const [speedup, bareSpeedup] = [gain(times), gain(bareTimes)];
    const speedupOfBare = Number((speedup / bareSpeedup).toFixed(3));
    const spread = Number((Math.max(...shares) / Math.min(...shares)).toFixed(3));
    const differing = masks.filter((mask) => !mask.equals(masks[0]!)).length;
    return {
      seconds: times,
      bareSeconds: bareTimes,
      speedup,
      bareSpeedup,
      speedupOfBare,
      together: shares,
      spread,
      masks: masks.length,
      differing,
      limits: LIMITS,
      holds:
        speedupOfBare >= LIMITS.speedupOfBare && differing <= LIMITS.differing && spread <= LIMITS.spread,
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

/** Computes tiles in lanes of one thread each, with nothing around. Returns the time in s. */
async function computeBare(engine: Engine, id: number, lanes: number): Promise<number> {
  const tiles = Array.from({ length: BARE_TILES }, (_, i) =>
    Uint8Array.from({ length: TILE * TILE }, (_, px) => (px * (i + 7)) & 255),
  );
  const started = performance.now();
  await inLanes({ lanes, threads: 1 }, BARE_TILES, async (i, lane) => {
    await engine.predict(
      id,
      { data: tiles[i]!, width: TILE, height: TILE, channels: 1, count: 1 },
      'labels',
      lane,
    );
  });
  return (performance.now() - started) / 1000;
}

/** Segments a slide: the time from the end of its upload to its mask. */
async function segment(server: BenchServer, input: string): Promise<{ seconds: number; mask: Buffer }> {
  const { id } = await server.submit(input, `model=${MODEL}&tile=${TILE}`);
  const started = performance.now();
  const { state, error } = await server.ended(id);
  if (state !== 'succeeded') throw new Error(`the job ${state}: ${error?.detail}`);
  const seconds = (performance.now() - started) / 1000;
  return { seconds, mask: await readFile(join(server.data, 'jobs', id, 'labels.tif')) };
}
