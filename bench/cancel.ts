import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bench, median } from './bench.js';
import { BenchServer, pause } from './server.js';
import { writeSlide } from './slide.js';

const RUNS = 15;
const SIZE = { width: 8000, height: 8000 };
/** Batches from DELETE to the end of the last: the one that runs, and the one that is ready. */
const LIMITS = { batches: 2.5, busyAfter: 0, filesLeft: 0 };

/** From DELETE to its answer, when the device is done with the job and its files are gone. */
export const bench: Bench = async (say) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  try {
    const input = join(dir, 'slide.tif');
    await writeSlide(input, 'shapes', SIZE);
    const server = await BenchServer.start(join(dir, 'data'));
    const batches = async () => (await server.metrics()).batches;
    const answersMs: number[] = [];
    let [busyAfter, filesLeft] = [0, 0];
    for (let i = 0; i < RUNS; i++) {
      const { id } = await server.submit(input, 'model=em-membrane');
      while (((await server.job(id)).progress?.tilesDone ?? 0) < 2) await pause(20);
      await pause(Math.random() * 1000);
      const started = performance.now();
      await (await fetch(`${server.url}/v1/jobs/${id}`, { method: 'DELETE' })).json();
      answersMs.push(performance.now() - started);
      filesLeft += (await readdir(join(dir, 'data', 'jobs', id))).filter(
        (name) => name !== 'job.json',
      ).length;
      const before = await batches();
      await pause(600);
      busyAfter += (await batches()) - before;
      say(`${i + 1}: ${Math.round(answersMs.at(-1)!)} ms`);
    }
    const { busySeconds, batches: all } = await server.metrics();
    const batchMs = (1000 * busySeconds) / all;
    await server.stop();
    const figures = { medianMs: Math.round(median(answersMs)), worstMs: Math.round(Math.max(...answersMs)) };
    const worst = Number((figures.medianMs / batchMs).toFixed(2));
    const holds = worst <= LIMITS.batches && busyAfter <= LIMITS.busyAfter && filesLeft <= LIMITS.filesLeft;
    return {
      runs: RUNS,
      ...figures,
      batchMs: Math.round(batchMs),
      batches: worst,
      busyAfter,
      filesLeft,
      limits: LIMITS,
      holds,
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};
