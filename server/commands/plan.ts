import type { Command } from 'commander';
import { parseTileChoice } from '../../tiling/plan.js';
import { parseChoice } from '../parameters.js';
import {
  type CommandContext,
  choiceOptions,
  type EngineFlags,
  engineOptions,
  type ScratchFlags,
  scratchOption,
  withSegmenter,
} from './shared.js';

export function planCommand(program: Command, context: CommandContext): void {
  choiceOptions(engineOptions(program.command('plan')))
    .addOption(scratchOption())
    .description('say how an image would be tiled, without segmenting it')
    .argument('<image>', 'image file')
    .option('-m, --model <name>', 'model; may be left out where there is only one')
    .option('-t, --tile <size>', 'auto, whole, a side in px or WIDTHxHEIGHT', 'auto')
    .action(async (image: string, flags: EngineFlags & ScratchFlags & { model?: string; tile: string }) => {
      const { model } = flags;
      const spec = { input: image, choice: parseChoice(flags), model, tile: parseTileChoice(flags.tile) };
      const facts = await withSegmenter(flags, (segmenter, scratchDir) =>
        segmenter.plan({ ...spec, scratchDir, symmetries: false }),
      );
      context.stdout(JSON.stringify(facts, null, 2));
    });
}
