import type { Command } from 'commander';
import { withoutName } from '../../model/devices/device.js';
import { Engine } from '../../model/engine/engine.js';
import { RequestError } from '../contract/errors.js';
import { setUpCuda } from '../setup/cuda.js';
import { makeFolder } from '../storage/folders.js';
import { type CacheDirFlags, type CommandContext, cacheDirOption } from '../terminal/options.js';
import { cudaFolderOf } from '../terminal/requested-engine.js';

/** `unseam setup cuda`: lays down what NVIDIA's devices need, and tries the first of them. */
export function setupCudaCommand(setup: Command, { signal, stdout, stderr }: CommandContext): void {
  setup
    .command('cuda')
    .description("download NVIDIA's libraries for --device cuda: 1.3 GB, and 2.1 GB on the disk")
    .addOption(cacheDirOption())
    .action(async ({ cacheDir }: CacheDirFlags) => {
      if (!cacheDir) {
        throw new RequestError(
          'bad-request',
          '--cache-dir: name a folder; there is no default for a user without a home',
        );
      }
      await makeFolder(cacheDir);
      const folder = cudaFolderOf(cacheDir);
      const isNew = await setUpCuda(folder, { signal, onProgress: stderr });
      stdout(isNew ? `CUDA is set up in ${folder}` : `CUDA was set up already in ${folder}`);
      const failure = await failureOfGpu(folder);
      stdout(
        failure === null
          ? 'the first GPU works: a convolution ran on it'
          : `no GPU can be used yet, and --device auto goes on without: ${failure}`,
      );
    });
}

/** Why the first GPU cannot be used, which is tried; null where it works. */
async function failureOfGpu(cudaFolder: string): Promise<string | null> {
  try {
    await (await Engine.open({ provider: 'cuda', devices: [0], threads: 1, cudaFolder })).close();
    return null;
  } catch (error) {
    return withoutName('cuda:0', (error as Error).message);
  }
}
