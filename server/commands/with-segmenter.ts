import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Device } from '../pipeline/device.js';
import { collectLessOften } from '../pipeline/heap-growth.js';
import { defaultTileCache } from '../pipeline/memory.js';
import type { Segmenter } from '../pipeline/segmenter.js';
import {
  type BatchFlags,
  type CacheDirFlags,
  type CacheFlags,
  type EngineFlags,
  engineOf,
  type MemoryFlags,
  type ScratchFlags,
  tileCacheOf,
} from '../terminal/options.js';
import { withScratch } from '../terminal/scratch.js';

/** The flags of commands that only plan have no caches: their plan is that of the defaults. */
const DEFAULT_CACHES: CacheFlags = { cache: true };

type DeviceFlags = EngineFlags & MemoryFlags & BatchFlags & Partial<CacheFlags> & CacheDirFlags;

/** Runs `work` with a device, which ends with it. */
export async function withDevice<Result>(
  flags: DeviceFlags,
  work: (device: Device) => Promise<Result>,
): Promise<Result> {
  collectLessOften();
  const cache = await cacheFiles(flags.cacheDir);
  const device = new Device({
    modelsDir: flags.models,
    engine: {
      ...engineOf(flags),
      ...(flags.batch !== undefined && { batch: flags.batch }),
      ...(cache && { outcomes: cache.outcomes }),
    },
    ...(cache && { tunings: cache.tunings }),
    memory: flags.memory,
    tileCacheBytes: tileCacheOf({ ...DEFAULT_CACHES, ...flags }) ?? defaultTileCache(flags.memory),
  });
  try {
    return await work(device);
  } finally {
    await device.close();
  }
}

/** Runs `work` with a segmenter and a scratch folder, both of which end with it. */
export function withSegmenter<Result>(
  flags: DeviceFlags & ScratchFlags,
  work: (segmenter: Segmenter, scratchDir: string) => Promise<Result>,
): Promise<Result> {
  return withDevice(flags, async (device) => {
    // What decodes images takes as long to load as the engine takes to start, so both do at the same time.
    const { Segmenter } = await import('../pipeline/segmenter.js');
    const segmenter = new Segmenter(device, {
      maxPixels: flags.maxPixels,
      maxUnpackedBytes: flags.maxUnpacked,
      allowedHosts: 'any', // who types an address may read from it
    });
    return withScratch(flags.scratch, (scratchDir) => work(segmenter, scratchDir));
  });
}

/** The files for what was measured of this machine; null without a folder that can be made: it is measured each time. */
async function cacheFiles(
  folder: string | null,
): Promise<{ readonly outcomes: string; readonly tunings: string } | null> {
  if (folder === null) return null;
  try {
    await mkdir(folder, { recursive: true });
  } catch {
    return null;
  }
  return { outcomes: join(folder, 'self-tests.json'), tunings: join(folder, 'tunings.json') };
}
