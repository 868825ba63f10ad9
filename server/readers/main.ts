import { writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parentProcess } from '../../model/engine/channel.js';
import { serve } from '../../model/engine/rpc.js';
import { openImage } from '../../tiling/sources/open.js';
import { stackFor } from '../../tiling/stack.js';
import { failureOf } from '../contract/failure.js';
import { derive, withMask } from '../pipeline/derive.js';
import { readHeader } from '../pipeline/read-header.js';
import type { ImageSpec, ReaderLimits, ReaderMethods } from './methods.js';
import { Viewer } from './viewer.js';

/**
 * A process that reads images, one call at a time; started and called by `ReaderProcess`. It has no network and no
 * job, so a file that crashes it fails only the call that named the file. It must never load the engine.
 */

let limits: ReaderLimits = { maxPixels: 0 };
let viewer = new Viewer(limits);

/** How an image is opened. */
const openOptions = ({ choice, ...options }: Omit<ImageSpec, 'input'>) => ({ ...choice, ...options });

const methods: ReaderMethods = {
  async start(readerLimits) {
    limits = readerLimits;
    viewer = new Viewer(readerLimits);
  },
  header: ({ input, ...picture }) => readHeader(input, { ...openOptions(picture), ...limits }),
  imageTile: ({ input, ...picture }, tile) =>
    viewer.imageTile(input, { ...openOptions(picture), ...limits }, tile),
  maskTile: (mask, scratchDir, tile, plane, colours) =>
    viewer.maskTile(mask, { ...limits, ...plane, scratchDir }, tile, colours),
  evict: (folder) => viewer.evict(folder),
  async derive({ input, ...picture }, card, maskPath, results, { signal }) {
    const source = await openImage(input, { ...openOptions(picture), ...limits, signal });
    const stack = stackFor(source, picture.choice);
    try {
      const options = { ...limits, scratchDir: dirname(maskPath) };
      await withMask(maskPath, options, stack !== null, (mask, masks) =>
        derive(results, { mask, masks, source, stack, card, signal, onWait: undefined }),
      );
    } finally {
      await stack?.close();
      await source.close();
    }
  },
};

serve(parentProcess(), methods, { failureOf });

// When memory runs out, the kernel should kill this process, and not the one that has the jobs.
writeFile('/proc/self/oom_score_adj', '1000').catch(() => undefined);
// Ctrl-C reaches the whole group; the server decides when its readers stop.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => undefined);
// Evicted, or orphaned: pictures that were unpacked are removed as they are closed.
process.on('disconnect', () => void viewer.close().finally(() => process.exit()));
