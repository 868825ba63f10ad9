import type { Command } from 'commander';
import { laneText } from '../../model/compute-choice.js';
import { chosenSpeed, type Measurement, type Tuning } from '../pipeline/tuning.js';
import {
  type CommandContext,
  type EngineFlags,
  engineOptions,
  type MemoryFlags,
  memoryOption,
} from '../terminal/options.js';
import { withModelHost } from './with-model-host.js';

interface BenchFlags extends EngineFlags, MemoryFlags {
  readonly json?: true;
}

/** `unseam bench`: how fast this machine computes a model, in every way; the choice is what other commands use. */
export function benchCommand(program: Command, context: CommandContext): void {
  engineOptions(program.command('bench'))
    .addOption(memoryOption())
    .description(
      'measure how fast this machine computes a model, by tile, lanes and batch, and store the choice',
    )
    .argument('<model>', 'NAME or NAME/VERSION of the model')
    .option('--json', 'print the measurements as JSON')
    .action(async (name: string, flags: BenchFlags) => {
      await withModelHost(flags, context.stderr, async (host) => {
        if (!flags.json) context.stdout(HEADER);
        const { tuning, device } = await host.tune(name, context.signal, (measurement) => {
          if (!flags.json) context.stdout(rowOf(measurement));
        });
        if (flags.json) {
          context.stdout(JSON.stringify({ model: name, device, ...tuning }));
          return;
        }
        context.stdout(tuningSummary(tuning));
        context.stdout(device);
      });
    });
}

/** The chosen way to compute a model, in one line. */
export function tuningSummary(tuning: Tuning): string {
  const { choice } = tuning;
  return `chosen: outputs of ${choice.tile} px, ${laneText(choice)}, ${chosenSpeed(tuning).toFixed(2)} Mpx/s`;
}

const columns = (cells: readonly string[]): string => cells.map((cell) => cell.padStart(8)).join('');
const HEADER = columns(['output', 'tiles', 'lanes', 'threads', 'Mpx/s']);

/** One way as a line: the side of a tile's output in px, tiles of a batch, lanes, threads of each, and the speed. */
function rowOf({ tile, tiles, lanes, threads, mpxPerSecond }: Measurement): string {
  return columns([`${tile}`, `${tiles}`, `${lanes}`, `${threads}`, mpxPerSecond.toFixed(3)]);
}
