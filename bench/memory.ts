import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Engine } from '../model/engine.js';
import { writeSample } from '../tiling/samples/sample.js';
import { TiffSink } from '../tiling/sinks/tiff.js';
import type { Bench } from './bench.js';
import { writeUntrained } from './untrained.js';

const SIZES = [
  [5_000, 5_000],
  [20_000, 20_000],
  [100_000, 2_000],
] as const;
const LIMITS = { growthMb: 200 };
const POLL_MS = 100;

/** Peak resident memory of `unseam segment` on tiled TIFFs of several sizes, with a tiny network. */
export const bench: Bench = async (say) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  try {
    const engine = Engine.start({ provider: 'cpu', threads: 2 });
    await mkdir(join(dir, 'models'));
    const unet = { channels: [2, 4], inputChannels: 1, classes: 2, seed: 1 } as const;
    await writeUntrained(engine, join(dir, 'models', 'untrained', '1'), unet);
    await engine.close();
    const peaksMb: Record<string, number> = {};
    const seconds: Record<string, number> = {};
    for (const [width, height] of SIZES) {
      const name = `${width}x${height}`;
      const input = join(dir, `${name}.tif`);
      const image = await TiffSink.create(
        input,
        { width, height },
        { channels: 1, dtype: 'uint8', mpp: null, overviews: 'mean' },
      );
      await writeSample('shapes', { width, height }, 1, { image });
      const started = performance.now();
      peaksMb[name] = await peakMb([
        ...[fileURLToPath(new URL('../server/bin.js', import.meta.url)), 'segment', input],
        ...['-o', join(dir, `${name}-mask.tif`), '--models', join(dir, 'models'), '--scratch', dir],
      ]);
      seconds[name] = Math.round((performance.now() - started) / 1000);
      say(`${name}: ${peaksMb[name]} MB, ${seconds[name]} s`);
      await rm(input);
    }
    const [first, ...rest] = Object.values(peaksMb) as [number, ...number[]];
    const growthMb = Math.max(...rest) - first;
    return { peaksMb, seconds, growthMb, limits: LIMITS, holds: growthMb <= LIMITS.growthMb };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

/** Runs Node with these arguments; the kernel keeps a process's peak, which is read while it lives. */
async function peakMb(args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  let peakKb = 0;
  const timer = setInterval(async () => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
    peakKb = Math.max(peakKb, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
  }, POLL_MS);
  const [code] = (await once(child, 'exit')) as [number];
  clearInterval(timer);
  if (code !== 0) throw new Error(`unseam segment ended with ${code}`);
  return Math.round(peakKb / 1024);
}
