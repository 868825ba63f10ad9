import type { Command } from 'commander';
import { RequestError } from '../contract/errors.js';
import { setUpTensorFlow } from '../setup/tensorflow.js';
import { type CacheDirFlags, type CommandContext, cacheDirOption } from '../terminal/options.js';
import { tensorFlowFolder } from '../terminal/requested-engine.js';

/** `unseam setup tensorflow`: builds what `--engine tensorflow` loads. */
export function setupTensorFlowCommand(setup: Command, { signal, stdout, stderr }: CommandContext): void {
  setup
    .command('tensorflow')
    .description('build the addon for --engine tensorflow: 0.6 GB to download, and 1.3 GB on the disk')
    .addOption(cacheDirOption())
    .action(async (flags: CacheDirFlags) => {
      const folder = tensorFlowFolder(flags);
      if (folder === null) {
        throw new RequestError('bad-request', '--cache-dir: this user has no home; name a folder');
      }
      const isNew = await setUpTensorFlow(folder, { signal, onProgress: stderr });
      stdout(isNew ? `TensorFlow is set up in ${folder}` : `TensorFlow was set up already in ${folder}`);
    });
}
