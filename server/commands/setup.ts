import type { Command } from 'commander';
import type { CommandContext } from '../terminal/options.js';
import { setupCudaCommand } from './setup-cuda.js';
import { setupTensorFlowCommand } from './setup-tensorflow.js';

/** `unseam setup`: downloads what some devices and engines need beyond npm's packages. Each has a file of its own. */
export function setupCommand(program: Command, context: CommandContext): void {
  const setup = program
    .command('setup')
    .description("download what some devices and engines need beyond npm's packages");
  setupCudaCommand(setup, context);
  setupTensorFlowCommand(setup, context);
}
