import { type Command, Option } from 'commander';
import { type Card, unetOf } from '../../model/card.js';
import { readCard } from '../../model/checkpoint.js';
import { Engine } from '../../model/engine.js';
import { integer, positive } from '../config.js';
import { RequestError } from '../errors.js';
import { ModelShelf } from '../models.js';
import { type Dataset, openDataset } from '../training/dataset.js';
import { findLearningRate } from '../training/find-lr.js';
import { foldTable } from '../training/folds.js';
import { writePreview } from '../training/preview.js';
import { Recorder } from '../training/recorder.js';
import { runTraining } from '../training/run.js';
import { type RunConfig, readRunConfig, writeRunConfig } from '../training/run-config.js';
import type { TrainSession } from '../training/session.js';
import { foldsOf, type Split, splitPairs } from '../training/split.js';
import { type CommandContext, type EngineFlags, engineOptions, withScratch } from './shared.js';
import {
  classList,
  list,
  parseClasses,
  parseLegend,
  type SettingFlags,
  settingOptions,
  settingsOf,
} from './training-options.js';

interface TrainFlags extends EngineFlags, SettingFlags {
  readonly name: string;
  readonly images?: string;
  readonly labels?: string;
  readonly classes?: Card['classes'];
  readonly legend?: string;
  readonly ignore?: number;
  readonly validation?: string[];
  readonly test: string[];
  readonly folds?: number;
  readonly from?: string;
  readonly freezeEncoder?: boolean;
  readonly seed: number;
  readonly description: string;
  readonly mpp?: number;
  readonly data: string;
  readonly citation?: string;
  readonly terms: string;
  readonly resume?: boolean;
  readonly preview?: string;
  readonly findLr?: string;
  readonly lrMin: number;
  readonly lrMax: number;
  readonly lrSteps: number;
}

export function trainCommand(program: Command, context: CommandContext): void {
  const command = engineOptions(program.command('train'))
    .description('train a U-Net on images and their labels')
    .requiredOption('--name <name>', 'name of the model; a new version of it is made in --models')
    .optionsGroup('The data:')
    .option('--images <path>', 'a folder of images, or a file of several pages')
    .option('--labels <path>', 'labels of the same names, or pages: class indices, 0 and 255, or colours')
    .option(
      '--classes <list>',
      'names in order, e.g. background,cell:#ff0000 (":none" leaves it clear)',
      parseClasses,
    )
    .option('--legend <list>', 'of labels in colour: #000000=background,#ff0000=cell,#ffffff=ignore')
    .addOption(
      new Option('--ignore [value]', 'label value of pixels that do not count')
        .preset('255')
        .argParser(integer(0, 65535)),
    )
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
  flags: EngineFlags,
  config: RunConfig,
  work: (session: TrainSession) => Promise<unknown>,
): Promise<void> {
  await withScratch(flags.scratch, async (scratchDir) => {
    const { signal } = context;
    const { images, labels, ignore, legend, classes, settings } = config;
    const dataset = await openDataset(
      {
        ...{ images, labels, ignore, classes: classes.length, labelBorder: settings.labelBorder },
        inputChannels: settings.unet.inputChannels,
        legend: legend === null ? null : new Map(legend),
      },
      { scratchDir, maxPixels: flags.maxPixels, signal },
    );
    const engine = Engine.start({ provider: 'cpu', threads: flags.threads });
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
  if (!resume) await writeRunConfig(folder, config);
  const recorder = new Recorder(context, config, folder);
  try {
    const card = await runTraining({
      ...{ engine, dataset, split, config, folder, resume, signal: context.signal },
      onStart: (facts) => recorder.start(facts, resume),
      onEvent: (event) => recorder.event(event),
      onPrediction: (part, prediction) => recorder.prediction(part, prediction),
    });
    if (card === null) {
      context.stderr(`stopped and saved; go on with: unseam train --name ${config.name} --resume`);
      process.exitCode = 130;
      return null;
    }
    await recorder.report(card);
    context.stderr(`${folder}: ${JSON.stringify(card.scores)}`);
    return card;
  } finally {
    await recorder.close();
  }
}

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

async function configOf(flags: TrainFlags, command: Command, shelf: ModelShelf): Promise<RunConfig> {
  const { images, labels, classes, from } = flags;
  for (const [option, value] of Object.entries({ images, labels, classes })) {
    if (value === undefined) throw new RequestError('bad-request', `--${option} is missing`);
  }
  if (flags.folds !== undefined && flags.validation !== undefined) {
    throw new RequestError('bad-request', '--folds chooses the validation images; leave --validation out');
  }
  if (flags.freezeEncoder && from === undefined) {
    throw new RequestError('bad-request', '--freeze-encoder needs a model to start --from');
  }
  const settings = settingsOf(flags);
  if (Array.isArray(settings.classWeights) && settings.classWeights.length !== classes!.length) {
    throw new RequestError(
      'bad-request',
      `--class-weights needs ${classes!.length} numbers, one for each class`,
    );
  }
  const start = from === undefined ? null : (await shelf.find(from)).folder;
  return {
    images: images!,
    labels: labels!,
    name: flags.name,
    version: 1,
    classes: classes!,
    legend: flags.legend === undefined ? null : parseLegend(flags.legend, classes!),
    ignore: flags.ignore ?? null,
    validation: flags.validation ?? null,
    test: flags.test,
    settings: start === null ? settings : { ...settings, unet: await netOf(start, command, settings) },
    from: start,
    freezeEncoder: flags.freezeEncoder ?? false,
    seed: flags.seed,
    command: commandLine(command),
    description: flags.description,
    micronsPerPixel: flags.mpp ?? null,
    data: { description: flags.data, citation: flags.citation ?? null, terms: flags.terms },
  };
}

const NET_OPTIONS = [
  ...['channels', 'decoderChannels', 'depth', 'features', 'inputChannels', 'head', 'convolutions', 'padding'],
  ...['upConvolution', 'batchNorm', 'outputSize'],
];

/** The network of the model to start from; only its dropout may be another. */
async function netOf(folder: string, command: Command, settings: RunConfig['settings']) {
  const given = NET_OPTIONS.find((key) => command.getOptionValueSource(key) === 'cli');
  if (given !== undefined) {
    throw new RequestError(
      'bad-request',
      `--from takes the network of its model over; leave ${longOf(command, given)} out`,
    );
  }
  const { classes: _classes, seed: _seed, ...net } = unetOf(await readCard(folder), 0);
  const { dropout } = settings.unet;
  return { ...net, ...(dropout !== undefined && { dropout }) };
}

/** What stays free when a training is resumed: where things are, and how many threads there are. */
const FREE = ['name', 'models', 'scratch', 'maxPixels', 'threads', 'resume'];

function refuseBesideResume(command: Command): void {
  const other = command.options
    .map((option) => option.attributeName())
    .find((key) => !FREE.includes(key) && command.getOptionValueSource(key) === 'cli');
  if (other !== undefined) {
    throw new RequestError(
      'bad-request',
      `--resume goes on with the training as it was; leave ${longOf(command, other)} out`,
    );
  }
}

const longOf = (command: Command, key: string): string =>
  command.options.find((option) => option.attributeName() === key)!.long!;

function summarise(context: CommandContext, dataset: Dataset, split: Split, classes: Card['classes']): void {
  const { pairs, frequencies, intensities } = dataset;
  const all = frequencies.reduce((sum, n) => sum + n, 0);
  const shares = classes.map(({ name }, c) => `${name} ${((100 * frequencies[c]!) / all).toFixed(1)} %`);
  const px = pairs.reduce((sum, { image: { size } }) => sum + size.width * size.height, 0);
  const sizes = [...new Set(pairs.map(({ image: { size } }) => `${size.width}×${size.height}`))];
  const few =
    sizes.length > 4 ? `${sizes.slice(0, 3).join(', ')} and ${sizes.length - 3} more` : sizes.join(', ');
  const kind = `${pairs[0]!.image.channels === 1 ? 'gray' : 'RGB'}, ${intensities.join(' to ')}`;
  context.stderr(
    `${pairs.length} images, ${(px / 1e6).toFixed(1)} Mpx (${few}; ${kind}): ${shares.join(', ')}`,
  );
  const { training, validation, test } = split;
  context.stderr(
    `${training.length} for training, ${validation.length} for validation, ${test.length} for testing`,
  );
}

/** The command as it could be typed again: what was given, in the order of the options. */
function commandLine(command: Command): string {
  const given = command.options.flatMap((option) => {
    const key = option.attributeName();
    if (command.getOptionValueSource(key) !== 'cli' || ['models', 'scratch'].includes(key)) return [];
    const value = command.getOptionValue(key) as unknown;
    if (value === true) return [option.long!];
    const text = key === 'classes' ? classList(value as Card['classes']) : textOf(value);
    return [`${option.long} ${quoted(text)}`];
  });
  return `unseam train ${given.join(' ')}`;
}

/** An augmentation is an object by now; it is written as the list that it could have been. */
function textOf(value: unknown): string {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return String(value);
  const named = Object.entries(value).filter(([, amount]) => amount !== 0 && amount !== false);
  return named.map(([name, amount]) => (amount === true ? name : `${name}:${amount}`)).join(',') || 'none';
}

const quoted = (text: string): string =>
  /^[\w./,:=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
