import type { Segmenter } from '../pipeline/segmenter.js';
import type { ImageFlags, ScratchFlags } from '../terminal/options.js';
import { withScratch } from '../terminal/scratch.js';
import { type ModelHostFlags, withModelHost } from './with-model-host.js';

/** Runs `work` with a segmenter and a scratch folder, both of which end with it; see `withModelHost`. */
export function withSegmenter<Result>(
  flags: ModelHostFlags & ImageFlags & ScratchFlags,
  log: (line: string) => void,
  work: (segmenter: Segmenter, scratchDir: string) => Promise<Result>,
): Promise<Result> {
  return withModelHost(flags, log, async (host) => {
    // What decodes images is loaded while lanes start in their threads.
    const { Segmenter } = await import('../pipeline/segmenter.js');
    const segmenter = new Segmenter(host, {
      maxPixels: flags.maxPixels,
      maxUnpackedBytes: flags.maxUnpacked,
      allowedHosts: 'any', // who types an address may read from it
    });
    return withScratch(flags.scratch, (scratchDir) => work(segmenter, scratchDir));
  });
}
