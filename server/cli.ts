import { Command, CommanderError } from 'commander';
import { messageForUser, problemOf } from './contract/problems.js';
import type { CommandContext } from './terminal/options.js';

type Declare = (program: Command, context: CommandContext) => void;

/** Every command, in the order of the help text. Each is loaded when it is needed: see `createCli`. */
const COMMANDS: ReadonlyMap<string, () => Promise<Declare>> = new Map([
  ['serve', async () => (await import('./commands/serve.js')).serveCommand],
  ['health', async () => (await import('./commands/health.js')).healthCommand],
  ['tokens', async () => (await import('./commands/tokens.js')).tokensCommand],
  ['segment', async () => (await import('./commands/segment.js')).segmentCommand],
  ['train', async () => (await import('./commands/train.js')).trainCommand],
  ['evaluate', async () => (await import('./commands/evaluate.js')).evaluateCommand],
  ['import', async () => (await import('./commands/import.js')).importCommand],
  ['models', async () => (await import('./commands/models.js')).modelsCommand],
  ['export', async () => (await import('./commands/export.js')).exportCommand],
  ['bench', async () => (await import('./commands/bench.js')).benchCommand],
  ['plan', async () => (await import('./commands/plan.js')).planCommand],
  ['devices', async () => (await import('./commands/devices.js')).devicesCommand],
  ['setup', async () => (await import('./commands/setup.js')).setupCommand],
  ['samples', async () => (await import('./commands/samples.js')).samplesCommand],
]);

/**
 * The command line for some arguments; parsing them runs the command. Only the command that they name is loaded, so
 * that a server holds nothing that decodes images. Where they name none, as for help, all are.
 *
 * @param args without the interpreter and the script, such as `['segment', 'slide.svs']`
 */
export async function createCli(context: CommandContext, args: readonly string[]): Promise<Command> {
  const program = new Command('unseam')
    .description(
      'Segments microscopy images of any size without seams: bit for bit what one pass over the whole image gives.',
    )
    .version('0.1.0')
    .showHelpAfterError('(add --help for the options)')
    .configureOutput({
      writeOut: (text) => context.stdout(text.trimEnd()),
      writeErr: (text) => context.stderr(text.trimEnd()),
    })
    .exitOverride();
  const named = COMMANDS.get(args[0] ?? '');
  const needed = named ? [named] : [...COMMANDS.values()];
  for (const declare of await Promise.all(needed.map((load) => load()))) declare(program, context);
  return program;
}

/** Runs the command that arguments name, reports its error, and sets the exit code of the process. */
export async function runCli(context: CommandContext, args: readonly string[]): Promise<void> {
  try {
    const cli = await createCli(context, args);
    await cli.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed it already. Help and version arrive here, too, without an error.
      process.exitCode = error.exitCode === 0 ? 0 : problemOf('bad-request').exitCode;
    } else {
      const { code, message } = messageForUser(error);
      // An unexpected error is printed with its stack, for a bug report.
      context.stderr(code === 'internal' ? ((error as Error).stack ?? message) : `unseam: ${message}`);
      process.exitCode = problemOf(code).exitCode;
    }
  }
}
