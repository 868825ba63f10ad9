import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Engine, EngineModel } from '../../model/engine/engine.js';
import { ModelShelf } from '../../model/shelf/shelf.js';
import { DEFAULTS } from '../config.js';
import { RequestError } from '../contract/errors.js';
import { defaultChoice } from '../pipeline/default-choice.js';
import { checkSymmetries } from '../pipeline/model-options.js';
import { openEngineOf } from '../terminal/engine.js';
import {
  type CommandContext,
  type EngineFlags,
  engineOptions,
  type ImageFlags,
  imageOptions,
  type ScratchFlags,
  scratchOption,
} from '../terminal/options.js';
import { withScratch } from '../terminal/scratch.js';
import type { Dataset } from '../training/data/dataset.js';
import { predictions } from '../training/evaluate.js';
import { DEFAULT_THRESHOLD, Evaluation, formatScores, thresholdsWith } from '../training/evaluation.js';
import { type LabelledFlags, openLabelled } from './labelled.js';
import { labelOptions } from './training-options.js';
import { parseList, parseRange } from './training-values.js';

interface EvaluateFlags extends EngineFlags, ImageFlags, ScratchFlags, LabelledFlags {
  readonly model?: string;
  readonly range?: 'auto' | [number, number];
  readonly only?: string[];
  readonly tta?: boolean;
  readonly out?: string;
  readonly json?: boolean;
}

/** `unseam evaluate`: scores a model on labelled images. */
export function evaluateCommand(program: Command, context: CommandContext): void {
  const command = imageOptions(engineOptions(program.command('evaluate')))
    .addOption(scratchOption())
    .description('score a model on labelled images')
    .option('-m, --model <name>', 'model, NAME or NAME/VERSION (default: the only one)')
    .requiredOption('--images <path>', 'folder of images, or a multi-page file')
    .requiredOption('--labels <path>', 'their labels, paired by name or page');
  labelOptions(command)
    .option(
      '--range <low,high>',
      'stored values of black and white, such as 0,4095; auto finds those of the images (default: those of the model)',
      parseRange,
    )
    .option('--only <names>', 'only these images, by name without extension, such as a,b', parseList)
    .option('--tta', 'average over the eight symmetries of the square: eight times the work')
    .option('-o, --out <file>', 'write the scores of each image and of all to a JSON file')
    .option('--json', 'print the scores as JSON')
    .action((flags: EvaluateFlags) => evaluate(flags, context));
}

async function evaluate(flags: EvaluateFlags, context: CommandContext): Promise<void> {
  const { folder } = await new ModelShelf(flags.models).find(flags.model);
  const engine = await openEngineOf(flags, context.stderr);
  try {
    const model = await engine.load(folder);
    if (flags.tta) checkSymmetries(model);
    await withScratch(flags.scratch, async (scratchDir) => {
      const { maxPixels, maxUnpacked: maxUnpackedBytes } = flags;
      const open = { scratchDir, maxPixels, maxUnpackedBytes, signal: context.signal };
      const dataset = await openLabelled(flags, model.card, open);
      try {
        for (const warning of dataset.warnings) context.stderr(`note: ${warning}`);
        const result = await score(flags, engine, model, dataset, context);
        if (flags.out !== undefined) await writeFile(flags.out, `${JSON.stringify(result, null, 2)}\n`);
        context.stdout(flags.json ? JSON.stringify(result) : scoreLines(result.scores));
      } finally {
        await dataset.close();
      }
    });
  } finally {
    await engine.close();
  }
}

/** Scores the requested images, each and together. */
async function score(
  { only, tta: symmetries = false, json }: EvaluateFlags,
  engine: Engine,
  model: EngineModel,
  dataset: Dataset,
  { signal, stderr }: CommandContext,
) {
  const unknown = only?.find((name) => !dataset.pairs.some(({ stem }) => stem === name));
  if (unknown !== undefined) throw new RequestError('bad-data', `no image is named "${unknown}"`);
  const pairs = dataset.pairs.filter(({ stem }) => only?.includes(stem) ?? true);
  const { card } = model;
  const threshold = card.threshold ?? DEFAULT_THRESHOLD;
  const thresholds = thresholdsWith(threshold);
  const names = card.classes.map(({ name }) => name);
  const evaluation = new Evaluation(names, thresholds);
  const images: Record<string, Record<string, number>> = {};
  const choice = defaultChoice(card, engine, { memory: DEFAULTS.memoryBytes, gpuBytes: engine.gpuBytes });
  const options = { engine, model, choice, classes: names.length, symmetries, thresholds, signal };
  for await (const prediction of predictions(pairs, dataset, options)) {
    const { stem } = prediction.pair;
    images[stem] = evaluation.add(prediction, threshold);
    if (!json) stderr(`${stem}: ${formatScores(images[stem])}`);
  }
  return {
    model: { name: card.name, version: card.version, sha256: card.weights.sha256 },
    tta: symmetries,
    threshold,
    scores: evaluation.scores(threshold),
    images,
  };
}

const scoreLines = (scores: Record<string, number>): string =>
  Object.entries(scores)
    .map(([name, value]) => `${name.padEnd(24)}${value.toFixed(4)}`)
    .join('\n');
