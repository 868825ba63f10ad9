import { writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { openImage } from '../../tiling/sources/open.js';
import { outcomeOf } from '../contract/outcome.js';
import { derive } from '../pipeline/derive.js';
import { readHeader } from '../pipeline/read-header.js';
import type { FromReader, ImageSpec, ReaderCalls, ReaderLimits, ReadName, ToReader } from './messages.js';
import { Viewer } from './viewer.js';

/**
 * A process that reads images, one call at a time, started and fed by `ReaderPool`. It has no network and no
 * job: a file that ends it costs the call that named the file. (So nothing here may load `model/`'s engine.)
 */

/** A server that has just gone hears nothing; its readers end, too. */
const send = (message: FromReader): void => {
  process.send?.(message, undefined, undefined, () => undefined);
};
const { signal } = new AbortController();
let limits: ReaderLimits = { maxPixels: 0 };
let viewer = new Viewer(limits);

/** What of a picture says how it is opened. */
const optionsOf = ({ choice, ...options }: Omit<ImageSpec, 'input'>) => ({ ...choice, ...options });

const calls: ReaderCalls = {
  header: ({ input, ...picture }) => readHeader(input, { ...optionsOf(picture), ...limits }),
  imageTile: ({ input, ...picture }, tile) =>
    viewer.imageTile(input, { ...optionsOf(picture), ...limits }, tile),
  maskTile: (mask, scratchDir, tile, colours) =>
    viewer.maskTile(mask, { ...limits, scratchDir }, tile, colours),
  forget: (folder) => viewer.forget(folder),
  async derive({ input, ...picture }, card, maskPath, results) {
    const source = await openImage(input, { ...optionsOf(picture), ...limits });
    try {
      const scratch = dirname(maskPath);
      const mask = await openImage(maskPath, { ...limits, scratchDir: scratch, values: 'stored' });
      await derive(results, { mask, source, card, signal }).finally(() => mask.close());
    } finally {
      await source.close();
    }
  },
};

async function answer(name: ReadName, args: readonly unknown[]): Promise<void> {
  const call = calls[name] as (...args: readonly unknown[]) => Promise<unknown>;
  send(await outcomeOf(() => call(...args)));
}

process.on('message', (message: ToReader) => {
  switch (message.type) {
    case 'start':
      limits = message.limits;
      viewer = new Viewer(limits);
      send({ type: 'ready' });
      break;
    case 'call':
      void answer(message.name, message.args);
      break;
  }
});

// Where memory runs out, the kernel is to end this process, and not the one that has the jobs.
writeFile('/proc/self/oom_score_adj', '1000').catch(() => undefined);
// Ctrl-C reaches the whole group; the server decides when its readers stop.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => undefined);
// No longer needed, or the server is gone: pictures that were unpacked are removed as they are closed.
process.on('disconnect', () => void viewer.close().finally(() => process.exit()));
