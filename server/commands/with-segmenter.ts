import { defaultTileCache } from '../pipeline/memory.js';
import { Segmenter } from '../pipeline/segmenter.js';
import {
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
  flags: EngineFlags & MemoryFlags & Partial<CacheFlags> & ScratchFlags,
  work: (segmenter: Segmenter, scratchDir: string) => Promise<Result>,
): Promise<Result> {
  return withScratch(flags.scratch, async (scratchDir) => {
    const { models: modelsDir, maxPixels } = flags;
    const segmenter = new Segmenter({
      modelsDir,
      maxPixels,
      maxUnpackedBytes: flags.maxUnpacked,
      engine: engineOf(flags),
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
