import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bench, median } from './bench.js';
import { BenchServer } from './server.js';
import { writeSlide } from './slide.js';

const MODEL = 'em-membrane';
const SIZE = { width: 4000, height: 4000 };
/** The tile of both servers: they would measure different ones. */
const TILE = 652;
const RUNS = 3;
/** Jobs that are sent together, whose shares of the devices are compared. */
const JOBS = 3;
/**
 * `speedup`: a slide on two devices, by its time on one of them. `differing`: masks. `spread`: the slowest of
 * equal jobs that start together, by the fastest.
 */
const LIMITS = { speedup: 1.7, differing: 0, spread: 1.15 };

/**
 * Compares a server on two devices, which are CPUs of one thread each in processes of their own, with one on one of them:
 * a slide, in turns, and several equal slides together on two.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  try {
    const input = join(dir, 'slide.tif');
    await writeSlide(input, 'membranes', SIZE);
    const start = (name: string, device: string) =>
      BenchServer.start(join(dir, name), ['--device', device, '--threads', '1']);
    const servers = { one: await start('one', 'cpu:0'), two: await start('two', 'cpu:0,cpu:1') };
    const times: Record<keyof typeof servers, number[]> = { one: [], two: [] };
    const masks: Buffer[] = [];
    for (let run = -1; run < RUNS; run++) {
      for (const name of ['one', 'two'] as const) {
        const { seconds, mask } = await segment(servers[name], input);
        if (run >= 0) times[name].push(seconds); // the first round warms up
        masks.push(mask);
        log(`${name}: ${seconds.toFixed(2)} s`);
      }
    }
    const together = await Promise.all(Array.from({ length: JOBS }, () => segment(servers.two, input)));
    for (const { mask } of together) masks.push(mask);
    const shares = together.map(({ seconds }) => seconds);
    log(`together: ${shares.map((seconds) => `${seconds.toFixed(2)} s`).join(', ')}`);
    await Promise.all(Object.values(servers).map((server) => server.stop()));

    const speedup = Number((median(times.one) / median(times.two)).toFixed(3));
    const spread = Number((Math.max(...shares) / Math.min(...shares)).toFixed(3));
    const differing = masks.filter((mask) => !mask.equals(masks[0]!)).length;
    return {
      seconds: times,
      speedup,
      together: shares,
      spread,
      masks: masks.length,
      differing,
      limits: LIMITS,
      holds: speedup >= LIMITS.speedup && differing <= LIMITS.differing && spread <= LIMITS.spread,
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

/** Segments a slide: the time from the end of its upload to its mask. */
async function segment(server: BenchServer, input: string): Promise<{ seconds: number; mask: Buffer }> {
  const { id } = await server.submit(input, `model=${MODEL}&tile=${TILE}`);
  const started = performance.now();
  const { state, error } = await server.ended(id);
  if (state !== 'succeeded') throw new Error(`the job ${state}: ${error?.detail}`);
  const seconds = (performance.now() - started) / 1000;
  return { seconds, mask: await readFile(join(server.data, 'jobs', id, 'labels.tif')) };
}
