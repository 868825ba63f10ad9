import type { Command } from 'commander';
import { channelText } from '../../model/network/channel-text.js';
import { haloText } from '../../tiling/plan.js';
import { formatBytes } from '../contract/byte-size.js';
import { workOfFlags } from '../contract/parameters.js';
import { exactnessText } from '../contract/receipt.js';
import type { JobFacts } from '../contract/schemas/plan.js';
import {
  type BatchFlags,
  batchOption,
  type CommandContext,
  type EngineFlags,
  engineOptions,
  type ImageFlags,
  imageOptions,
  type MemoryFlags,
  memoryOption,
  type ScratchFlags,
  scratchOption,
  workOptions,
} from '../terminal/options.js';
import { duration } from '../terminal/progress.js';
import { withSegmenter } from './with-segmenter.js';

interface PlanFlags extends EngineFlags, ImageFlags, MemoryFlags, BatchFlags, ScratchFlags {
  readonly json?: true;
}

/** `unseam plan`: what segmenting an image would take. */
export function planCommand(program: Command, context: CommandContext): void {
  workOptions(imageOptions(engineOptions(program.command('plan'))))
    .addOption(memoryOption())
    .addOption(scratchOption())
    .addOption(batchOption())
    .description('show how an image would be tiled, and the time and memory for it, without segmenting it')
    .argument('<image>', 'image file')
    .option('--json', 'print the plan as JSON, as POST /v1/plan responds')
    .action(async (image: string, flags: PlanFlags) => {
      await withSegmenter(flags, context.stderr, async (segmenter, scratchDir) => {
        const spec = { input: image, scratchDir, ...workOfFlags(flags) };
        const facts = await segmenter.plan(spec);
        const seconds = await segmenter.estimate(spec);
        if (flags.json) {
          const plan = { ...facts, expected: { ...facts.expected, seconds } };
          context.stdout(JSON.stringify(plan, null, 2));
          return;
        }
        for (const [name, text] of rows(facts, seconds)) context.stdout(`${name.padEnd(10)}${text}`);
        for (const warning of facts.warnings) context.stderr(`note: ${warning}`);
      });
    });
}

/** A plan as lines for people. */
function rows(facts: JobFacts, seconds: number): [name: string, text: string][] {
  const { image, model, plan, expected, device } = facts;
  const { width, height, channels, dtype, mpp, stack } = image;
  const microns = mpp ? `, ${Number(mpp.x.toPrecision(4))} µm per pixel` : '';
  const scratch =
    expected.scratchBytes > 0 ? `, and ${formatBytes(expected.scratchBytes)} while it runs` : '';
  const share = Number((100 * plan.haloShare).toPrecision(2));
  const planes: [string, string][] = stack
    ? [['stack', `${stack.sizeZ * stack.sizeT} planes: z ${stack.z}, t ${stack.t}`]]
    : [];
  return [
    ['image', `${width}×${height} px, ${channelText(channels)}, ${dtype}${microns}`],
    ...planes,
    ['model', `${model.name}/${model.version}${exactnessText(facts)}`],
    [
      'tiles',
      `${plan.tiles} of ${plan.tile.replace('x', '×')} px, halo ${haloText(plan.halo)}: ${share} % of the work`,
    ],
    ['memory', `up to ${formatBytes(expected.memoryBytes)}`],
    ['disk', `up to ${formatBytes(expected.diskBytes)}${scratch}`],
    ['time', `about ${seconds < 1 ? 'a second' : duration(seconds)} on ${device}`],
  ];
}
