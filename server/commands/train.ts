import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Card } from '../../model/card.js';
import { Engine } from '../../model/engine.js';
import { NORMALISATION } from '../../model/pixels.js';
import { ModelShelf } from '../../model/shelf.js';
import { DEFAULTS } from '../config.js';
import { integer, positive } from '../terminal/flag-values.js';
import {
  type CommandContext,
  type EngineFlags,
  engineOf,
  engineOptions,
  type ScratchFlags,
  scratchOption,
} from '../terminal/options.js';
import { ProgressBar } from '../terminal/progress.js';
import { withScratch } from '../terminal/scratch.js';
import { TrainingConsole } from '../training/console.js';
import { type Dataset, openDataset } from '../training/dataset.js';
import { findLearningRate } from '../training/find-lr.js';
import { foldTable } from '../training/folds.js';
import { writePreview } from '../training/preview.js';
import { Recorder } from '../training/recorder.js';
import { type RunRequest, TrainingRun } from '../training/run.js';
import { type RunConfig, readRunConfig, writeRunConfig } from '../training/run-config.js';
import type { TrainSession } from '../training/session.js';
import { foldsOf, type Split, splitPairs } from '../training/split.js';
import { configOf, refuseBesideResume, type TrainFlags } from './train-config.js';
import { labelOptions, settingOptions } from './training-options.js';
import { list, parseClasses, parseRange } from './training-values.js';

export function trainCommand(program: Command, context: CommandContext): void {
  const command = engineOptions(program.command('train'))
    .addOption(scratchOption())
    .description('train a U-Net on images and their labels')
    .requiredOption('--name <name>', 'name of the model; a new version of it is made in --models')
    .optionsGroup('The data:')
    .option('--images <path>', 'a folder of images, or a file of several pages')
    .option(
      '--labels <path>',
      'labels of the same names, or pages: class indices, 0 and 255, colours, or numbers of cells',
    )
    .option(
      '--range <low,high>',
      'stored values that are black and white; auto finds those of all images (default: the range of their type)',
      parseRange,
    )
    .option(
      '--classes <list>',
      'names in order, e.g. background,cell:#ff0000 (":none" leaves it clear; default: those of --legend)',
      parseClasses,
    );
  labelOptions(command)
    .option('--validation <names>', 'images that choose the best network (default: the last fifth)', list)
    .option('--test <names>', 'images that are scored once, at the end', list, [])
    .option(
      '--folds <k>',
      'train k networks, each validated on another k-th of the images',
      integer(2, 1000),
    );
  settingOptions(command)
    .option('--seed <n>', 'same seed, same command, same threads: same weights', integer(0, 2 ** 31), 1)
    .optionsGroup('From what there is:')
    .option('--resume', 'go on with the unfinished training of --name, as it was')
    .option('--from <model>', 'start from the weights of a model; its network is taken over')
    .option('--freeze-encoder', 'keep the contracting path as it is')
    .optionsGroup('Instead of training:')
    .option('--preview <file>', 'write a sheet of augmented crops with their weights (.png)')
    .option('--find-lr <file>', 'test a range of learning rates and draw the losses (.svg)')
    .option('--lr-min <x>', 'the first', positive, 1e-5)
    .option('--lr-max <x>', 'the last', positive, 0.1)
    .option('--lr-steps <n>', 'how many', integer(5, 100_000), 100)
    .optionsGroup('For the card:')
    .option('--description <text>', 'what the model finds', '')
    .option('--mpp <x>', 'micrometres per pixel of the images', positive)
    .option('--data <text>', 'what the data is', '')
    .option('--citation <text>', 'what to cite')
    .option('--terms <text>', 'terms of the data', 'not stated')
    .action(async (flags: TrainFlags, self: Command) => {
      const shelf = new ModelShelf(flags.models);
      if (flags.resume) {
        refuseBesideResume(self);
        const { folder } = await shelf.unfinished(flags.name);
        await withData(context, flags, await readRunConfig(folder), (session) =>
          trainOne(session, { folder, resume: true }),
        );
        return;
      }
      const config = await configOf(flags, self, shelf);
      await withData(context, flags, config, async (session) => {
        if (flags.preview !== undefined) return writePreview(session, flags.preview);
        if (flags.findLr !== undefined) {
          const range = { low: flags.lrMin, high: flags.lrMax, steps: flags.lrSteps };
          return findLearningRate(session, range, flags.findLr);
        }
        if (flags.folds !== undefined) return trainFolds(session, shelf, flags.folds);
        const { folder, version } = await shelf.nextVersion(flags.name);
        await trainOne({ ...session, config: { ...config, version } }, { folder, resume: false });
      });
    });
}

async function withData(
  context: CommandContext,
  flags: EngineFlags & ScratchFlags,
  config: RunConfig,
  work: (session: TrainSession) => Promise<unknown>,
): Promise<void> {
  await withScratch(flags.scratch, async (scratchDir) => {
    const { signal } = context;
    const { images, labels, ignore, instances, legend, classes, range, settings } = config;
    const dataset = await openDataset(
      {
        images,
        labels,
        ignore,
        range,
        classes: classes.length,
        labelBorder: settings.labelBorder,
        instances,
        inputChannels: settings.unet.inputChannels,
        legend: legend === null ? null : new Map(legend),
      },
      { scratchDir, maxPixels: flags.maxPixels, maxUnpackedBytes: flags.maxUnpacked, signal },
    );
    const engine = Engine.start(engineOf(flags));
    try {
      const split = splitPairs(dataset.pairs, config);
      summarise(context, dataset, split, classes);
      await work({ context, engine, dataset, split, config });
    } finally {
      await engine.close();
      await dataset.close();
    }
  });
}

/** Trains one model; returns its card, or null where it was interrupted. */
async function trainOne(
  { context, engine, dataset, split, config }: TrainSession,
  { folder, resume }: { readonly folder: string; readonly resume: boolean },
): Promise<Card | null> {
  const run = await createRun({ engine, dataset, split, config, folder, resume, signal: context.signal });
  // only now: settings that no network can be built with leave no version behind
  const settings = { ...config.settings, monitor: run.facts.monitor };
  if (!resume) await writeRunConfig(folder, { ...config, settings });
  const recorder = await Recorder.create(config, run.facts, folder, resume);
  const view = new TrainingConsole(context, config, run.facts);
  try {
    view.start(resume);
    const card = await run.train({
      async event(event) {
        view.event(event);
        await recorder.event(event);
      },
      prediction: (part, prediction) => recorder.prediction(part, prediction),
    });
    if (card === null) {
      context.stderr(`interrupted; resume with: unseam ${resumeArguments(config.name, folder)}`);
      process.exitCode = 130;
      return null;
    }
    await recorder.report(card);
    context.stderr(`${folder}: ${JSON.stringify(card.scores)}`);
    return card;
  } finally {
    view.close();
    await recorder.close();
  }
}

/** Creates a run with a progress bar for its weight maps. */
async function createRun(request: RunRequest): Promise<TrainingRun> {
  const bar = new ProgressBar('weight maps {bar} {value}/{total}, {eta_formatted} remaining');
  try {
    return await TrainingRun.create({ ...request, onWeightMap: (done, total) => bar.update(done, total) });
  } finally {
    bar.stop();
  }
}

/** The arguments that resume a training; they name the folder of models unless it is the package's. */
function resumeArguments(name: string, folder: string): string {
  const models = dirname(dirname(folder));
  const named = resolve(models) === resolve(DEFAULTS.models) ? [] : ['--models', models];
  return ['train', '--name', name, ...named, '--resume'].map(asWord).join(' ');
}

/** Text as one word of a shell. */
const asWord = (text: string): string =>
  /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** k rotations: each network is a model of its own, named after its fold. */
async function trainFolds(session: TrainSession, shelf: ModelShelf, folds: number): Promise<void> {
  const { config, dataset, context } = session;
  const stems = dataset.pairs.map(({ stem }) => stem).filter((stem) => !config.test.includes(stem));
  const scores: Record<string, number>[] = [];
  for (const [k, validation] of foldsOf(stems, folds).entries()) {
    const name = `${config.name}-fold-${k + 1}`;
    const { folder, version } = await shelf.nextVersion(name);
    context.stderr(`fold ${k + 1} of ${folds}: validation on ${validation.join(', ')}`);
    const own = { ...config, name, version, validation };
    const split = splitPairs(dataset.pairs, own);
    const card = await trainOne({ ...session, config: own, split }, { folder, resume: false });
    if (card === null) return;
    scores.push(card.scores.validation!);
  }
  context.stdout(foldTable(scores));
}

function summarise(context: CommandContext, dataset: Dataset, split: Split, classes: Card['classes']): void {
  const { pairs, intensities, normalisation, warnings } = dataset;
  const frequencies = dataset.frequenciesOf(pairs);
  const all = frequencies.reduce((sum, n) => sum + n, 0);
  const shares = classes.map(({ name }, c) => `${name} ${((100 * frequencies[c]!) / all).toFixed(1)} %`);
  const px = pairs.reduce((sum, { image: { size } }) => sum + size.width * size.height, 0);
  const sizes = [...new Set(pairs.map(({ image: { size } }) => `${size.width}×${size.height}`))];
  const few =
    sizes.length > 4 ? `${sizes.slice(0, 3).join(', ')} and ${sizes.length - 3} more` : sizes.join(', ');
  const kind = `${pairs[0]!.image.facts.channels === 1 ? 'gray' : 'RGB'}, ${intensities.join(' to ')}`;
  context.stderr(
    `${pairs.length} images, ${(px / 1e6).toFixed(1)} Mpx (${few}; ${kind}): ${shares.join(', ')}`,
  );
  if (normalisation !== NORMALISATION) {
    context.stderr(
      `black is ${normalisation.range[0]}, white is ${normalisation.range[1]} (${normalisation.type})`,
    );
  }
  for (const warning of warnings) context.stderr(`  note: ${warning}, or --range auto`);
  for (const [c, { name }] of classes.entries()) {
    if (frequencies[c] === 0) {
      context.stderr(`  note: no label holds ${name}: is its value, or its colour, another one?`);
    }
  }
  const { training, validation, test } = split;
  context.stderr(
    `${training.length} for training, ${validation.length} for validation, ${test.length} for testing`,
  );
}
