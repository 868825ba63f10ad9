import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { Engine } from '../model/engine/engine.js';
import { writeUntrained } from '../test/support/untrained.js';
import { levelSizes } from '../tiling/sinks/tiff/level.js';
import type { Bench } from './bench.js';
import { BenchServer, residentBytes } from './server.js';
import { writeSlide } from './slide.js';

const SIDES = [5_000, 20_000, 40_000];
const LIMITS = { growthMb: 150, peakMb: 1500 };
const POLL_MS = 50;

/**
 * Measures the peak resident memory of the server and its child processes while a tiled TIFF is uploaded and
 * segmented into a pyramidal mask, as TIFF and as OME-Zarr. The slides are of 25 Mpx to 1.6 Gpx: the largest may need
 * little more memory than the smallest. The network is small, as its own memory is not the subject. libvips must be able
 * to read every level of each mask. The peak is sampled every 50 ms, and pages that processes share count for each.
 */
export const bench: Bench = async (log) => {
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
      log(`${side}: a slide of ${Math.round((await stat(input)).size / 1e6)} MB`);
      const server = await BenchServer.start(join(dir, 'data'), ['--models', join(dir, 'models')]);
      let peak = 0;
      const watch = setInterval(async () => {
        peak = Math.max(peak, await residentBytes(server.child.pid!));
      }, POLL_MS);
      const started = performance.now();
      const { id } = await server.submit(input, 'model=untrained&output=labels:tiff,labels:zarr');
      await rm(input);
      const job = await server.ended(id, 200);
      clearInterval(watch);
      if (job.state !== 'succeeded') throw new Error(`the job ${job.state}: ${job.error?.detail}`);
      peaksMb.push(Math.round(peak / 1e6));
      seconds.push(Math.round((performance.now() - started) / 1000));
      vipsReadsAllLevels &&= await opensInVips(join(dir, 'data', 'jobs', id, 'labels.tif'), size);
      log(`${side}: ${peaksMb.at(-1)} MB, ${seconds.at(-1)} s, all levels in libvips: ${vipsReadsAllLevels}`);
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

/** Whether libvips reports every level at the expected size and decodes its bottom right corner. */
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
