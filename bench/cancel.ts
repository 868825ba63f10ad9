import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bench, median } from './bench.js';
import { BenchServer, pause } from './server.js';
import { writeSlide } from './slide.js';

const RUNS = 15;
const SIZE = { width: 8000, height: 8000 };
/**
 * `batches`: the median latency, as a multiple of a batch's time; a batch may be running and another be ready to run.
 * `busyAfter`: batches run after the response. `filesLeft`: files of cancelled jobs still on disk.
 */
const LIMITS = { batches: 2.5, busyAfter: 0, filesLeft: 0 };

/**
 * Measures how long it takes to cancel a running job: from DELETE to its response, which is sent once the device
 * has finished with the job and the job's files are deleted. Each run cancels at a random moment and then checks
 * that no further batch runs and that only the job's record remains.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  try {
    const input = join(dir, 'slide.tif');
    await writeSlide(input, 'shapes', SIZE);
    const server = await BenchServer.start(join(dir, 'data'));
    const batches = async () => (await server.metrics()).batches;
    const latenciesMs: number[] = [];
    let [busyAfter, filesLeft] = [0, 0];
    for (let i = 0; i < RUNS; i++) {
      const { id } = await server.submit(input, 'model=em-membrane');
      while (((await server.job(id)).progress?.tilesDone ?? 0) < 2) await pause(20);
      await pause(Math.random() * 1000);
      const started = performance.now();
      await (await fetch(`${server.url}/v1/jobs/${id}`, { method: 'DELETE' })).json();
      latenciesMs.push(performance.now() - started);
      filesLeft += (await readdir(join(dir, 'data', 'jobs', id))).filter(
        (name) => name !== 'job.json',
      ).length;
      const before = await batches();
      await pause(600);
      busyAfter += (await batches()) - before;
      log(`${i + 1}: ${Math.round(latenciesMs.at(-1)!)} ms`);
    }
    const { inferSeconds, tiles } = await server.metrics();
    const batchMs = (1000 * inferSeconds) / tiles;
    await server.stop();
    const figures = {
      medianMs: Math.round(median(latenciesMs)),
      worstMs: Math.round(Math.max(...latenciesMs)),
    };
    const inBatches = Number((figures.medianMs / batchMs).toFixed(2));
    const holds =
      inBatches <= LIMITS.batches && busyAfter <= LIMITS.busyAfter && filesLeft <= LIMITS.filesLeft;
    return {
      runs: RUNS,
      ...figures,
      batchMs: Math.round(batchMs),
      batches: inBatches,
      busyAfter,
      filesLeft,
      limits: LIMITS,
      holds,
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};
