import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { type Bench, median } from './bench.js';
import { type BenchMetrics, BenchServer, pause } from './server.js';
import { writeSlide } from './slide.js';

const MODEL = 'em-membrane';
const SLIDE = { width: 9000, height: 9000 };
const SIDES = [200, 512];
const REQUESTS = 50;
const LIMITS = { idle: 2, batches: 1, worstMs: 2000, wallRatio: 1.1 };

/**
 * Measures the latency of small images while a slide runs at bulk priority, and how much they delay the slide.
 * Baselines are the requests on an idle server and the slide alone; then 50 consecutive requests of 200 px run
 * during one slide, and 50 of 512 px during another. Limits: a 95th percentile of twice the idle one plus one batch
 * of the slide; 2 s for any request; and a total time of 1.1 times the two baselines together.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  let stop = async () => {};
  try {
    const input = join(dir, 'slide.tif');
    await writeSlide(input, 'membranes', SLIDE);
    const images = await Promise.all(
      SIDES.map((side) =>
        sharp(input, { limitInputPixels: false })
          .extract({ left: 1000, top: 1000, width: side, height: side })
          .png()
          .toBuffer(),
      ),
    );
    const server = await BenchServer.start(join(dir, 'data'));
    stop = () => server.stop();
    const request = async (image: Buffer): Promise<number> => {
      const started = performance.now();
      const response = await fetch(`${server.url}/v1/segment?model=${MODEL}`, {
        method: 'POST',
        body: new Uint8Array(image),
      });
      const { length } = Buffer.from(await response.arrayBuffer());
      if (response.status !== 200 || length === 0)
        throw new Error(`a request failed with status ${response.status}`);
      return performance.now() - started;
    };
    const series = async (image: Buffer, onEach: () => Promise<void> = async () => {}) => {
      const times: number[] = [];
      for (let i = 0; i < REQUESTS; i++) {
        times.push(await request(image));
        await onEach();
      }
      return times;
    };
    // Warm-up: a slide tunes the model, and images prepare the memory of their tiles.
    await runSlide(server, input, async () => {});
    for (const image of images) for (let i = 0; i < 3; i++) await request(image);
    const idle = [];
    for (const image of images) idle.push(await series(image));
    log(`idle: p95 ${idle.map((times) => Math.round(p95(times))).join(', ')} ms`);

    const alone = await runSlide(server, input, async () => {});
    log(`slide alone: ${Math.round(alone.ms)} ms, ${Math.round(alone.batchMs)} ms per batch`);

    const concurrent: number[][] = [];
    const wallRatios: number[] = [];
    for (const [i, image] of images.entries()) {
      const shared = await runSlide(server, input, async (running) => {
        const times = await series(image, async () => {
          if (!(await running())) throw new Error('the slide finished before the requests');
        });
        concurrent.push(times);
      });
      const sum = idle[i]!.reduce((total, ms) => total + ms, 0);
      wallRatios.push(Number((shared.ms / (alone.ms + sum)).toFixed(3)));
    }
    log(`during the slide: p95 ${concurrent.map((times) => Math.round(p95(times))).join(', ')} ms`);

    const allowed = idle.map((times) => LIMITS.idle * p95(times) + LIMITS.batches * alone.batchMs);
    const worstMs = Math.round(Math.max(...concurrent.flat()));
    const holds =
      concurrent.every((times, i) => p95(times) <= allowed[i]!) &&
      worstMs <= LIMITS.worstMs &&
      Math.max(...wallRatios) <= LIMITS.wallRatio;
    return {
      sides: SIDES,
      idleP95Ms: idle.map((times) => Math.round(p95(times))),
      besideP95Ms: concurrent.map((times) => Math.round(p95(times))),
      besideMedianMs: concurrent.map((times) => Math.round(median(times))),
      allowedP95Ms: allowed.map(Math.round),
      batchMs: Math.round(alone.batchMs),
      worstMs,
      aloneMs: Math.round(alone.ms),
      wallRatios,
      limits: LIMITS,
      holds,
    };
  } finally {
    await stop();
    await rm(dir, { recursive: true, force: true });
  }
};

/**
 * Runs a slide as a bulk job, and `meanwhile` once its first tile is done.
 * @returns the slide's wall time and the median time of a batch, in ms
 */
async function runSlide(
  server: BenchServer,
  input: string,
  meanwhile: (running: () => Promise<boolean>) => Promise<void>,
): Promise<{ readonly ms: number; readonly batchMs: number }> {
  const { id } = await server.submit(input, `model=${MODEL}&priority=bulk`);
  const started = performance.now();
  const running = async () => (await server.job(id)).state === 'running';
  const batches: number[] = [];
  let isOver = false;
  const watching = recordBatches(server, batches, () => isOver);
  while (((await server.job(id)).progress?.tilesDone ?? 0) === 0) await pause(10);
  await meanwhile(running);
  const job = await server.ended(id, 20);
  const ms = performance.now() - started;
  isOver = true;
  await watching;
  if (job.state !== 'succeeded') throw new Error(`the slide ${job.state}: ${job.error?.detail}`);
  return { ms, batchMs: median(batches) };
}

/** Records the time of each tile's batch, as the mean of those between two readings, until `isOver`. */
async function recordBatches(server: BenchServer, batches: number[], isOver: () => boolean): Promise<void> {
  let last: BenchMetrics | null = null;
  while (!isOver()) {
    const now = await server.metrics();
    const more = last ? now.tiles - last.tiles : 0;
    for (let i = 0; i < more; i++) batches.push((1000 * (now.inferSeconds - last!.inferSeconds)) / more);
    last = now;
    await pause(40);
  }
}

function p95(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[Math.ceil(0.95 * times.length) - 1]!;
}
