import type { Command } from 'commander';
import { parseTileChoice } from '../../tiling/plan.js';
import { type CommandContext, type EngineFlags, engineOptions, withSegmenter } from './shared.js';

export function planCommand(program: Command, context: CommandContext): void {
  engineOptions(program.command('plan'))
    .description('say how an image would be tiled, without segmenting it')
    .argument('<image>', 'image file')
    .option('-m, --model <name>', 'model; may be left out where there is only one')
    .option('-t, --tile <size>', 'auto, whole, a side in px or WIDTHxHEIGHT', 'auto')
    .action(async (image: string, flags: EngineFlags & { model?: string; tile: string }) => {
      const facts = await withSegmenter(flags, (segmenter, scratchDir) =>
        segmenter.plan({ input: image, scratchDir, model: flags.model, tile: parseTileChoice(flags.tile) }),
      );
      context.stdout(JSON.stringify(facts, null, 2));
    });
}
