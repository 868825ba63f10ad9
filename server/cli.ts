import { Command } from 'commander';
import { evaluateCommand } from './commands/evaluate.js';
import { modelsCommand } from './commands/models.js';
import { planCommand } from './commands/plan.js';
import { samplesCommand } from './commands/samples.js';
import { segmentCommand } from './commands/segment.js';
import { serveCommand } from './commands/serve.js';
import { trainCommand } from './commands/train.js';
import type { CommandContext } from './terminal/options.js';

/** The command line; parsing it runs the command. */
export function createCli(context: CommandContext): Command {
  const program = new Command('unseam')
    .description(
      'Segments microscopy images of any size, without seams: bit for bit as one pass over the whole image.',
    )
    .version('0.1.0')
    .showHelpAfterError('(add --help for the options)')
    .exitOverride();
  serveCommand(program, context);
  segmentCommand(program, context);
  trainCommand(program, context);
  evaluateCommand(program, context);
  modelsCommand(program, context);
  planCommand(program, context);
  samplesCommand(program, context);
  return program;
}
