import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { Engine } from '../model/engine.js';
import { levelSizes } from '../tiling/sinks/tiff/level.js';
import type { Bench } from './bench.js';
import { BenchServer, residentBytes } from './server.js';
import { writeSlide } from './slide.js';
import { writeUntrained } from './untrained.js';

const SIDES = [5_000, 20_000, 40_000];
const LIMITS = { growthMb: 150, peakMb: 1500 };
const POLL_MS = 50;

/**
 * Peak resident memory of the server and its worker together, while a tiled TIFF comes in over HTTP and its
 * pyramidal mask is made, for slides of several sizes and a small network; libvips opens every level.
 */
export const bench: Bench = async (say) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  try {
    const engine = Engine.start({ provider: 'cpu', threads: 2 });
    await mkdir(join(dir, 'models'));
    const unet = { channels: [4, 8], inputChannels: 1, classes: 2, seed: 1 } as const;
    await writeUntrained(engine, join(dir, 'models', 'untrained', '1'), unet);
    await engine.close();
    const peaksMb: number[] = [];
    const seconds: number[] = [];
    let vipsReadsAllLevels = true;
    for (const side of SIDES) {
      const size = { width: side, height: side };
      const input = join(dir, `${side}.tif`);
      await writeSlide(input, 'shapes', size, { x: 0.5, y: 0.5 });
      say(`${side}: a slide of ${Math.round((await stat(input)).size / 1e6)} MB`);
      const server = await BenchServer.start(join(dir, 'data'), ['--models', join(dir, 'models')]);
      let peak = 0;
      const watch = setInterval(async () => {
        peak = Math.max(peak, await residentBytes(server.child.pid!));
      }, POLL_MS);
      const started = performance.now();
      const { id } = await server.submit(input, 'model=untrained');
      await rm(input);
      const job = await server.ended(id, 200);
      clearInterval(watch);
      if (job.state !== 'succeeded') throw new Error(`the job ${job.state}: ${job.error?.detail}`);
      peaksMb.push(Math.round(peak / 1e6));
      seconds.push(Math.round((performance.now() - started) / 1000));
      vipsReadsAllLevels &&= await opensInVips(join(dir, 'data', 'jobs', id, 'labels.tif'), size);
      say(`${side}: ${peaksMb.at(-1)} MB, ${seconds.at(-1)} s, all levels in libvips: ${vipsReadsAllLevels}`);
      await server.stop();
      await rm(join(dir, 'data'), { recursive: true });
    }
    const growthMb = peaksMb.at(-1)! - peaksMb[0]!;
    const holds = growthMb <= LIMITS.growthMb && Math.max(...peaksMb) <= LIMITS.peakMb && vipsReadsAllLevels;
    return { sides: SIDES, peaksMb, seconds, growthMb, vipsReadsAllLevels, limits: LIMITS, holds };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

/** Whether every level of a mask has its size, and its pixels come out. */
async function opensInVips(path: string, size: { width: number; height: number }): Promise<boolean> {
  const sizes = levelSizes(size);
  for (const [i, level] of sizes.entries()) {
    const picture = sharp(path, { subifd: i - 1, limitInputPixels: false });
    const { width, height } = await picture.metadata();
    if (width !== level.width || height !== level.height) return false;
    const corner = { left: Math.max(0, width - 300), top: Math.max(0, height - 300) };
    await picture
      .extract({ ...corner, width: width - corner.left, height: height - corner.top })
      .raw()
      .toBuffer();
  }
  return true;
}
