import type { Command } from 'commander';
import { workOfFlags } from '../parameters.js';
import {
  type CommandContext,
  type EngineFlags,
  engineOptions,
  type ScratchFlags,
  scratchOption,
  withSegmenter,
  workOptions,
} from './shared.js';

export function planCommand(program: Command, context: CommandContext): void {
  workOptions(engineOptions(program.command('plan')))
    .addOption(scratchOption())
    .description('say how an image would be tiled, without segmenting it')
    .argument('<image>', 'image file')
    .action(async (image: string, flags: EngineFlags & ScratchFlags) => {
      const facts = await withSegmenter(flags, async (segmenter, scratchDir) => {
        const spec = { input: image, scratchDir, ...workOfFlags(flags) };
        const plan = await segmenter.plan(spec);
        return { ...plan, expected: { ...plan.expected, seconds: await segmenter.estimate(spec) } };
      });
      context.stdout(JSON.stringify(facts, null, 2));
    });
}
