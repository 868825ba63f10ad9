import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { Engine } from '../../model/engine.js';
import { ModelShelf } from '../../model/shelf.js';
import type { Border } from '../../tiling/reader.js';
import { RequestError } from '../contract/errors.js';
import { checkSymmetries } from '../pipeline/model-options.js';
import {
  type CommandContext,
  type EngineFlags,
  engineOf,
  engineOptions,
  type ScratchFlags,
  scratchOption,
} from '../terminal/options.js';
import { withScratch } from '../terminal/scratch.js';
import { openDataset } from '../training/dataset.js';
import {
  DEFAULT_THRESHOLD,
  Evaluation,
  formatScores,
  predictions,
  thresholdsWith,
} from '../training/evaluate.js';
import { labelOptions } from './training-options.js';
import { classesOf, list, parseLegend, parseRange } from './training-values.js';

interface EvaluateFlags extends EngineFlags, ScratchFlags {
  readonly model?: string;
  readonly images: string;
  readonly labels: string;
  readonly legend?: string;
  readonly instances?: boolean;
  readonly ignore?: number;
  readonly range?: 'auto' | [number, number];
  readonly only?: string[];
  readonly tta?: boolean;
  readonly out?: string;
  readonly json?: boolean;
}

export function evaluateCommand(program: Command, context: CommandContext): void {
  const command = engineOptions(program.command('evaluate'))
    .addOption(scratchOption())
    .description('score a model on images whose labels are known')
    .option('-m, --model <name>', 'model; may be left out where there is only one')
    .requiredOption('--images <path>', 'a folder of images, or a file of several pages')
    .requiredOption('--labels <path>', 'labels of the same names, or pages');
  labelOptions(command)
    .option(
      '--range <low,high>',
      'stored values that are black and white; auto finds those of all images (default: those of the model)',
      parseRange,
    )
    .option('--only <names>', 'these images alone', list)
    .option('--tta', 'average over the eight symmetries of the square')
    .option('-o, --out <file>', 'save the scores as JSON, of each image and of all')
    .option('--json', 'print them as JSON')
    .action((flags: EvaluateFlags) => evaluate(flags, context));
}

async function evaluate(flags: EvaluateFlags, context: CommandContext): Promise<void> {
  const { folder } = await new ModelShelf(flags.models).find(flags.model);
  const engine = Engine.start(engineOf(flags));
  try {
    const model = await engine.load(folder);
    if (flags.tta) checkSymmetries(model);
    const { card } = model;
    const classes = classesOf({ ...flags, classes: card.classes });
    await withScratch(flags.scratch, async (scratchDir) => {
      const dataset = await openDataset(
        {
          images: flags.images,
          labels: flags.labels,
          ignore: flags.ignore ?? null,
          range: flags.range ?? { of: card },
          classes: classes.length,
          inputChannels: card.inputChannels,
          labelBorder: 'reflect' satisfies Border,
          instances: flags.instances ?? false,
          legend: flags.legend === undefined ? null : new Map(parseLegend(flags.legend, classes)),
        },
        {
          scratchDir,
          maxPixels: flags.maxPixels,
          maxUnpackedBytes: flags.maxUnpacked,
          signal: context.signal,
        },
      );
      try {
        for (const warning of dataset.warnings) context.stderr(`note: ${warning}`);
        const stems = dataset.pairs.map(({ stem }) => stem);
        const unknown = flags.only?.find((name) => !stems.includes(name));
        if (unknown !== undefined) throw new RequestError('bad-data', `no image is named "${unknown}"`);
        const pairs = dataset.pairs.filter(({ stem }) => flags.only?.includes(stem) ?? true);
        const names = classes.map(({ name }) => name);
        const threshold = card.threshold ?? DEFAULT_THRESHOLD;
        const evaluation = new Evaluation(names, thresholdsWith(threshold));
        const images: Record<string, Record<string, number>> = {};
        const options = { engine, model, classes: names.length, symmetries: flags.tta === true };
        const watched = { ...options, thresholds: thresholdsWith(threshold), signal: context.signal };
        for await (const prediction of predictions(pairs, dataset, watched)) {
          const { stem } = prediction.pair;
          images[stem] = evaluation.add(prediction, threshold);
          if (!flags.json) context.stderr(`${stem}: ${formatScores(images[stem])}`);
        }
        const identity = { name: card.name, version: card.version, sha256: card.weights.sha256 };
        const result = {
          model: identity,
          tta: flags.tta === true,
          threshold,
          scores: evaluation.scores(threshold),
          images,
        };
        if (flags.out !== undefined) await writeFile(flags.out, `${JSON.stringify(result, null, 2)}\n`);
        context.stdout(flags.json ? JSON.stringify(result) : scoreLines(evaluation.scores(threshold)));
      } finally {
        await dataset.close();
      }
    });
  } finally {
    await engine.close();
  }
}

const scoreLines = (scores: Record<string, number>): string =>
  Object.entries(scores)
    .map(([name, value]) => `${name.padEnd(24)}${value.toFixed(4)}`)
    .join('\n');
