import { join } from 'node:path';
import type { Command } from 'commander';
import { RequestError } from '../contract/errors.js';
import { setUpCuda } from '../setup/cuda.js';
import { type CacheDirFlags, type CommandContext, cacheDirOption } from '../terminal/options.js';

/** `unseam setup cuda`: what NVIDIA's devices need. */
export function setupCudaCommand(setup: Command, { signal, stdout, stderr }: CommandContext): void {
  setup
    .command('cuda')
    .description("download NVIDIA's libraries for --device cuda: 1.3 GB, and 2.1 GB on the disk")
    .addOption(cacheDirOption())
    .action(async ({ cacheDir }: CacheDirFlags) => {
      if (cacheDir === null) {
        throw new RequestError('bad-request', '--cache-dir: name a folder, since this user has no home');
      }
      const folder = join(cacheDir, 'cuda');
      await setUpCuda(folder, { signal, onProgress: stderr });
      stdout(`set up in ${folder}`);
    });
}
