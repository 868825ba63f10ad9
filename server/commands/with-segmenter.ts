import { Segmenter } from '../pipeline/segmenter.js';
import { type EngineFlags, engineOf, type MemoryFlags, type ScratchFlags } from '../terminal/options.js';
import { withScratch } from '../terminal/scratch.js';

/** Runs `work` with a segmenter and a scratch folder, both of which end with it. */
export function withSegmenter<Result>(
  flags: EngineFlags & MemoryFlags & ScratchFlags,
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
      allowedHosts: 'any', // who types an address may read from it
    });
    try {
      return await work(segmenter, scratchDir);
    } finally {
      await segmenter.close();
    }
  });
}
