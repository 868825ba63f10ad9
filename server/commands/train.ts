import { type Command, Option } from 'commander';
import type { Card } from '../../model/card.js';
import { Engine } from '../../model/engine.js';
import { integer, positive } from '../config.js';
import { RequestError } from '../errors.js';
import { ModelShelf } from '../models.js';
import { ProgressBar } from '../progress.js';
import { runTraining } from '../train.js';
import { openDataset } from '../training-data.js';
import { type CommandContext, type EngineFlags, engineOptions, withScratch } from './shared.js';

interface TrainFlags extends EngineFlags {
  readonly images: string;
  readonly labels: string;
  readonly name: string;
  readonly classes: Card['classes'];
  readonly validation?: string[];
  readonly test: string[];
  readonly channels: number[];
  readonly inputChannels: '1' | '3';
  readonly steps: number;
  readonly batch: number;
  readonly tile: number;
  readonly learningRate: number;
  readonly validateEvery: number;
  readonly seed: number;
  readonly description: string;
  readonly mpp?: number;
  readonly data: string;
  readonly citation?: string;
  readonly terms: string;
}

/** Colours of classes that are given none: clear for the first, then these in turn. */
const PALETTE = ['#e6550d', '#3182bd', '#31a354', '#756bb1', '#dd1c77'];

export function trainCommand(program: Command, context: CommandContext): void {
  const list = (text: string) => text.split(',').filter((item) => item !== '');
  engineOptions(program.command('train'))
    .description('train a U-Net on a folder of images and a folder of labels')
    .requiredOption('--images <folder>', 'images')
    .requiredOption('--labels <folder>', 'labels of the same names: class indices, or 0 and 255')
    .requiredOption('--name <name>', 'name of the model; a new version of it is made in --models')
    .requiredOption(
      '--classes <list>',
      'names in order, e.g. background,cell:#ff0000 (":none" leaves it clear)',
      parseClasses,
    )
    .option('--validation <names>', 'images that choose the best network (default: the last fifth)', list)
    .option('--test <names>', 'images that are scored once, at the end', list, [])
    .option(
      '--channels <list>',
      'feature channels of each level',
      (text) => list(text).map(Number),
      [16, 32, 64, 128],
    )
    .addOption(new Option('--input-channels <n>', 'gray or RGB').choices(['1', '3']).default('1'))
    .option('--steps <n>', 'steps of the optimiser', integer(1, 10_000_000), 2000)
    .option('--batch <n>', 'crops in a step', integer(1, 256), 2)
    .option('--tile <px>', "side of the crops, the network's input", integer(1, 8192), 252)
    .option('--learning-rate <x>', 'step size of Adam', positive, 1e-3)
    .option('--validate-every <n>', 'steps between validations', integer(1, 10_000_000), 200)
    .option('--seed <n>', 'same seed, same command, same threads: same weights', integer(0, 2 ** 31), 1)
    .option('--description <text>', 'for the card', '')
    .option('--mpp <x>', 'micrometres per pixel of the images, for the card', positive)
    .option('--data <text>', 'what the data is, for the card', '')
    .option('--citation <text>', 'what to cite, for the card')
    .option('--terms <text>', 'terms of the data, for the card', 'not stated')
    .action(async (flags: TrainFlags, command: Command) => {
      const model = await new ModelShelf(flags.models).nextVersion(flags.name);
      const inputChannels = Number(flags.inputChannels) as 1 | 3;
      await withScratch(flags.scratch, async (scratchDir) => {
        const options = { scratchDir, maxPixels: flags.maxPixels, signal: context.signal };
        const dataset = await openDataset(flags, flags.classes.length, inputChannels, options);
        const engine = Engine.start({ provider: 'cpu', threads: flags.threads });
        const bar = new ProgressBar(
          '{bar} {value}/{total} steps, loss {loss}, {speed} Mpx/s, {eta_formatted} left',
        );
        try {
          const stems = dataset.pairs.map(({ stem }) => stem).filter((stem) => !flags.test.includes(stem));
          const validation = flags.validation ?? stems.slice(-Math.max(1, Math.floor(stems.length / 5)));
          summarise(context, dataset.pairs.length, flags.classes, dataset.frequencies);
          let recent: number | null = null;
          const card = await runTraining({
            ...flags,
            engine,
            dataset,
            validation,
            unet: {
              channels: flags.channels,
              inputChannels,
              classes: flags.classes.length,
              seed: flags.seed,
            },
            about: {
              name: model.name,
              version: model.version,
              description: flags.description,
              micronsPerPixel: flags.mpp ?? null,
              command: commandLine(command),
              data: { description: flags.data, citation: flags.citation ?? null, terms: flags.terms },
            },
            folder: model.folder,
            signal: context.signal,
            onEvent: (event) => {
              if (event.type === 'step') {
                recent = recent === null ? event.loss : 0.95 * recent + 0.05 * event.loss;
                const speed = (event.pixels / event.durationMs / 1000).toFixed(2);
                bar.update(event.step, flags.steps, { loss: recent.toFixed(4), speed });
                return;
              }
              const scores = Object.entries(event.scores).map(
                ([name, value]) => `${name} ${value.toFixed(4)}`,
              );
              context.stderr(`step ${event.step}: ${scores.join(', ')}${event.best ? ', kept' : ''}`);
            },
          });
          bar.stop();
          context.stderr(`${model.folder}: ${JSON.stringify(card.scores)}`);
        } finally {
          bar.stop();
          await engine.close();
          await dataset.close();
        }
      });
    });
}

function summarise(
  context: CommandContext,
  count: number,
  classes: Card['classes'],
  frequencies: readonly number[],
): void {
  const all = frequencies.reduce((sum, n) => sum + n, 0);
  const shares = classes.map(({ name }, c) => `${name} ${((100 * frequencies[c]!) / all).toFixed(1)} %`);
  context.stderr(`${count} images, ${(all / 1e6).toFixed(1)} Mpx: ${shares.join(', ')}`);
}

function parseClasses(text: string): Card['classes'] {
  const classes = text.split(',').map((item, i) => {
    const [name, colour] = item.split(':') as [string, string | undefined];
    if (name === '' || (colour !== undefined && colour !== 'none' && !/^#[0-9a-f]{6}$/.test(colour))) {
      throw new RequestError('bad-request', `a class is NAME, NAME:#rrggbb or NAME:none, not "${item}"`);
    }
    const otherwise = i === 0 ? null : PALETTE[(i - 1) % PALETTE.length]!;
    return { name, colour: colour === undefined ? otherwise : colour === 'none' ? null : colour };
  });
  if (classes.length < 2)
    throw new RequestError('bad-request', 'name two classes or more; the background is one');
  return classes;
}

/** The command as it could be typed again: what was given, in the order of the options. */
function commandLine(command: Command): string {
  const given = command.options.flatMap((option) => {
    const key = option.attributeName();
    if (command.getOptionValueSource(key) !== 'cli' || ['models', 'scratch'].includes(key)) return [];
    const value = command.getOptionValue(key) as unknown;
    return [
      `${option.long} ${quoted(key === 'classes' ? classList(value as Card['classes']) : String(value))}`,
    ];
  });
  return `unseam train ${given.join(' ')}`;
}

const classList = (classes: Card['classes']): string =>
  classes.map(({ name, colour }) => `${name}:${colour ?? 'none'}`).join(',');
const quoted = (text: string): string =>
  /^[\w./,:=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
