import { type Command, Option } from 'commander';
import { nameOfDevices } from '../../model/devices/device.js';
import type { Card } from '../../model/shelf/card.js';
import { ModelShelf } from '../../model/shelf/shelf.js';
import { RequestError } from '../contract/errors.js';
import { openEngineOf } from '../terminal/engine.js';
import { integer, modelName, positive } from '../terminal/flag-values.js';
import {
  type CommandContext,
  type EngineFlags,
  engineOptions,
  imageOptions,
  scratchOption,
} from '../terminal/options.js';
import { ProgressBar } from '../terminal/progress.js';
import { withScratch } from '../terminal/scratch.js';
import { openDataset } from '../training/data/dataset.js';
import { foldTable } from '../training/data/folds.js';
import { foldsOf, splitPairs } from '../training/data/split.js';
import { formatScores } from '../training/evaluation.js';
import { findLearningRate } from '../training/find-lr.js';
import { TrainingConsole } from '../training/recording/console.js';
import { writePreview } from '../training/recording/preview.js';
import { Recorder } from '../training/recording/recorder.js';
import { summaryOf } from '../training/recording/summary.js';
import { type RunRequest, TrainingRun } from '../training/run.js';
import { type RunConfig, readRunConfig, writeRunConfig } from '../training/run-config.js';
import type { TrainSession } from '../training/session.js';
import { isDeviceLoss, resumeCommand } from './resume-command.js';
import { configOf, rejectOverrides, type TrainFlags } from './train-config.js';
import { labelOptions, settingOptions } from './training-options.js';
import { parseClasses, parseImageChannels, parseList, parseRange } from './training-values.js';

/** `unseam train`: trains a model, or shows what a training would see. */
export function trainCommand(program: Command, context: CommandContext): void {
  const command = imageOptions(engineOptions(program.command('train')))
    .addOption(scratchOption())
    .description('train a U-Net on images and their labels')
    .requiredOption(
      '--name <name>',
      'name of the model, such as my-cells; the training makes its next version in --models',
      modelName,
    )
    .optionsGroup('Data:')
    .option('--images <path>', 'folder of images, or a multi-page file')
    .option(
      '--labels <path>',
      'their labels, paired by name or page: class indices, 0 and 255, colours, or cell numbers',
    )
    .option(
      '--image-channels <list>',
      'channels of the images that the network takes, by name, such as DAPI,CD45; 2=DAPI where they have no names, DAPI|Hoechst for further names',
      parseImageChannels,
    )
    .option(
      '--range <low,high>',
      'stored values of black and white, such as 0,4095; auto finds those of the images (default: the range of their type)',
      parseRange,
    )
    .option(
      '--classes <list>',
      'class names in order, with colours for overlays, such as background,cell:#ff0000; NAME:none is transparent (default: those of --legend)',
      parseClasses,
    );
  labelOptions(command)
    .option(
      '--validation <names>',
      'validation images, which select the best network, by name without extension (default: the last fifth)',
      parseList,
    )
    .addOption(
      new Option('--test <names>', 'test images, which are scored once at the end')
        .argParser(parseList)
        .default([], 'none'),
    )
    .option('--folds <k>', 'k-fold cross-validation: train k networks', integer(2, 1000));
  settingOptions(command)
    .option(
      '--seed <n>',
      'the same seed, command and number of threads give the same weights',
      integer(0, 2 ** 31),
      1,
    )
    .optionsGroup('Resume or fine-tune:')
    .option('--resume', 'resume the unfinished training of --name with its own settings')
    .option('--from <model>', 'fine-tune a model: start from its weights, with its network')
    .option('--freeze-encoder', 'do not train the contracting path')
    .optionsGroup('Instead of training:')
    .option('--preview <file>', 'write a sheet of augmented crops with labels and weights (.png)')
    .option('--find-lr <file>', 'run a learning-rate range test and plot its losses (.svg)')
    .option('--lr-min <x>', 'first learning rate of the range test', positive, 1e-5)
    .option('--lr-max <x>', 'last learning rate of the range test', positive, 0.1)
    .option('--lr-steps <n>', 'steps of the range test', integer(5, 100_000), 100)
    .optionsGroup('Model card:')
    .addOption(new Option('--description <text>', 'what the model segments').default('', 'none'))
    .option('--mpp <um>', 'pixel size of the images, in micrometres', positive)
    .addOption(new Option('--data <text>', 'description of the data').default('', 'none'))
    .option('--citation <text>', 'publication to cite for the data')
    .option('--terms <text>', 'licence or terms of the data', 'not stated')
    .action(async (flags: TrainFlags, self: Command) => {
      const shelf = new ModelShelf(flags.models);
      if (flags.resume) {
        rejectOverrides(self);
        const { folder } = await shelf.unfinished(flags.name);
        await withData(context, self, await readRunConfig(folder), (session) =>
          trainOne(session, { folder, resume: true }),
        );
        return;
      }
      const config = await configOf(flags, self, shelf);
      await withData(context, self, config, async (session) => {
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
  command: Command,
  config: RunConfig,
  work: (session: TrainSession) => Promise<unknown>,
): Promise<void> {
  const flags = command.opts<TrainFlags>();
  requireOneDevice(flags);
  await withScratch(flags.scratch, async (scratchDir) => {
    const { signal } = context;
    const { images, labels, ignore, instances, legend, classes, channels, range, settings } = config;
    const dataset = await openDataset(
      {
        images,
        labels,
        ignore,
        channels,
        range,
        classes: classes.length,
        labelBorder: settings.labelBorder,
        instances,
        inputChannels: settings.unet.inputChannels,
        legend: legend === null ? null : new Map(legend),
      },
      { scratchDir, maxPixels: flags.maxPixels, maxUnpackedBytes: flags.maxUnpacked, signal },
    );
    try {
      const engine = await openEngineOf(flags, context.stderr);
      try {
        const split = splitPairs(dataset.pairs, config);
        for (const line of summaryOf(dataset, split, classes)) context.stderr(line);
        const resume = (name: string, folder: string) => resumeCommand(name, folder, engine, command);
        await work({ context, engine, dataset, split, config, resumeCommand: resume });
      } finally {
        await engine.close();
      }
    } finally {
      await dataset.close();
    }
  });
}

/** @throws RequestError for several devices, of which one would train */
function requireOneDevice({ device = 'auto' }: EngineFlags): void {
  if (device === 'auto' || device.indices.length < 2) return;
  const names = nameOfDevices(device);
  throw new RequestError('bad-request', `--device ${names}: a network is trained on one device`);
}

/** Trains one model; returns its card, or null if it was interrupted. */
async function trainOne(
  { context, engine, dataset, split, config, ...session }: TrainSession,
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
      context.stderr(`interrupted; resume with: ${session.resumeCommand(config.name, folder)}`);
      process.exitCode = 130;
      return null;
    }
    await recorder.report(card);
    for (const [part, scores] of Object.entries(card.scores)) {
      context.stderr(`${part}: ${formatScores(scores)}`);
    }
    context.stderr(`${card.name}/${card.version} is in ${folder}`);
    return card;
  } catch (error) {
    if (isDeviceLoss(error)) {
      context.stderr(`resume from the last checkpoint with: ${session.resumeCommand(config.name, folder)}`);
    }
    throw error;
  } finally {
    view.close();
    await recorder.close();
  }
}

/** Creates a run with a progress bar for its weight maps. */
async function createRun(request: RunRequest): Promise<TrainingRun> {
  const bar = new ProgressBar('weight maps {bar} {value}/{total}{left}');
  try {
    return await TrainingRun.create({ ...request, onWeightMap: (done, total) => bar.update(done, total) });
  } finally {
    bar.stop();
  }
}

/** Cross-validation: each fold's network becomes a model named after the fold. */
async function trainFolds(session: TrainSession, shelf: ModelShelf, folds: number): Promise<void> {
  const { config, dataset, context } = session;
  const stems = dataset.pairs.map(({ stem }) => stem).filter((stem) => !config.test.includes(stem));
  const scores: Record<string, number>[] = [];
  for (const [k, validation] of foldsOf(stems, folds).entries()) {
    const name = `${config.name}-fold-${k + 1}`;
    const { folder, version } = await shelf.nextVersion(name);
    context.stderr(`fold ${k + 1} of ${folds}: validation on ${validation.join(', ')}`);
    const foldConfig = { ...config, name, version, validation };
    const split = splitPairs(dataset.pairs, foldConfig);
    const card = await trainOne({ ...session, config: foldConfig, split }, { folder, resume: false });
    if (card === null) return;
    scores.push(card.scores.validation!);
  }
  context.stdout(foldTable(scores));
}
