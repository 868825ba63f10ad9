import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { collectLessOften } from '../pipeline/heap-growth.js';
import { defaultTileCache } from '../pipeline/memory.js';
import { Segmenter } from '../pipeline/segmenter.js';
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

/** Runs `work` with a segmenter and a scratch folder, both of which end with it. */
export function withSegmenter<Result>(
  flags: EngineFlags & MemoryFlags & BatchFlags & Partial<CacheFlags> & CacheDirFlags & ScratchFlags,
  work: (segmenter: Segmenter, scratchDir: string) => Promise<Result>,
): Promise<Result> {
  collectLessOften();
  return withScratch(flags.scratch, async (scratchDir) => {
    const { models: modelsDir, maxPixels } = flags;
    const cache = await cacheFiles(flags.cacheDir);
    const segmenter = new Segmenter({
      modelsDir,
      maxPixels,
      maxUnpackedBytes: flags.maxUnpacked,
      engine: {
        ...engineOf(flags),
        ...(flags.batch !== undefined && { batch: flags.batch }),
        ...(cache && { outcomes: cache.outcomes }),
      },
      ...(cache && { tunings: cache.tunings }),
      memory: flags.memory,
      tileCacheBytes: tileCacheOf({ ...DEFAULT_CACHES, ...flags }) ?? defaultTileCache(flags.memory),
      allowedHosts: 'any', // who types an address may read from it
    });
    try {
      return await work(segmenter, scratchDir);
    } finally {
      await segmenter.close();
    }
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
