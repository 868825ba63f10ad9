import type { Command } from 'commander';
import { type Card, unetOf } from '../../model/shelf/card.js';
import type { ModelShelf } from '../../model/shelf/shelf.js';
import { RequestError } from '../contract/errors.js';
import type { EngineFlags, ImageFlags, ScratchFlags } from '../terminal/options.js';
import { MONITORS } from '../training/monitor.js';
import type { RunConfig } from '../training/run-config.js';
import { optionsOf } from './command-line.js';
import { type SettingFlags, settingsOf } from './training-flags.js';
import { classesOf, parseLegend } from './training-values.js';

/** The options of `unseam train`. */
export interface TrainFlags extends EngineFlags, ImageFlags, ScratchFlags, SettingFlags {
  readonly name: string;
  readonly images?: string;
  readonly labels?: string;
  readonly classes?: Card['classes'];
  readonly legend?: string;
  readonly instances?: boolean;
  readonly ignore?: number;
  readonly range?: 'auto' | [number, number];
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

/**
 * The configuration of a new training.
 * @throws RequestError for options that are missing or contradict each other
 */
export async function configOf(flags: TrainFlags, command: Command, shelf: ModelShelf): Promise<RunConfig> {
  const { images, labels, from } = flags;
  for (const [option, value] of Object.entries({ images, labels })) {
    if (value === undefined) throw new RequestError('bad-request', `--${option} is required`);
  }
  const classes = classesOf(flags);
  if (flags.folds !== undefined && flags.validation !== undefined) {
    throw new RequestError('bad-request', '--folds selects the validation images; leave --validation out');
  }
  if (flags.freezeEncoder && from === undefined) {
    throw new RequestError('bad-request', '--freeze-encoder requires --from');
  }
  const settings = settingsOf(flags);
  if (Array.isArray(settings.classWeights) && settings.classWeights.length !== classes.length) {
    throw new RequestError('bad-request', `--class-weights needs ${classes.length} numbers, one per class`);
  }
  if (settings.monitor === 'vRand' && classes.length !== 2) {
    throw new RequestError(
      'bad-request',
      `--monitor vRand is for two classes, and there are ${classes.length}: choose ${MONITORS.filter((m) => m !== 'vRand').join(', ')}`,
    );
  }
  const parent = from === undefined ? null : await shelf.find(from);
  const card = parent?.card ?? null;
  return {
    images: images!,
    labels: labels!,
    name: flags.name,
    version: 1,
    classes,
    legend: flags.legend === undefined ? null : parseLegend(flags.legend, classes),
    ignore: flags.ignore ?? null,
    instances: flags.instances ?? false,
    channels: flags.imageChannels ?? (card?.channels ? { named: card.channels, indexes: null } : null),
    range: flags.range ?? (card === null ? 'type' : { of: { normalisation: card.normalisation } }),
    validation: flags.validation ?? null,
    test: flags.test,
    settings: card === null ? settings : { ...settings, unet: netOf(card, command, settings) },
    from: parent?.folder ?? null,
    freezeEncoder: flags.freezeEncoder ?? false,
    seed: flags.seed,
    command: ['unseam train', ...optionsOf(command, (key) => !LOCAL.includes(key))].join(' '),
    description: flags.description,
    micronsPerPixel: flags.mpp ?? null,
    data: { description: flags.data, citation: flags.citation ?? null, terms: flags.terms },
  };
}

const NET_OPTIONS = [
  'channels',
  'decoderChannels',
  'depth',
  'features',
  'inputChannels',
  'imageChannels',
  'head',
  'convolutions',
  'padding',
  'upConvolution',
  'batchNorm',
  'outputSize',
];

/** The network of the model to fine-tune; only its dropout may be set. */
function netOf(card: Card, command: Command, settings: RunConfig['settings']) {
  const override = NET_OPTIONS.find((key) => command.getOptionValueSource(key) === 'cli');
  if (override !== undefined) {
    throw new RequestError(
      'bad-request',
      `--from uses the network of its model; leave ${longOf(command, override)} out`,
    );
  }
  const { classes: _classes, seed: _seed, ...net } = unetOf(card, 0);
  const { dropout } = settings.unet;
  return { ...net, ...(dropout !== undefined && { dropout }) };
}

/** Options that concern this machine alone: a card does not repeat them. */
const LOCAL = ['models', 'scratch', 'dumpGraphs', 'profileGraphs'];

/** Options that a resumed training may change: where files are, and resources. */
const RESUMABLE = [
  'name',
  'models',
  'scratch',
  'maxPixels',
  'maxUnpacked',
  'engine',
  'device',
  'precision',
  'cacheDir',
  'threads',
  'lanes',
  'resume',
  'dumpGraphs',
  'profileGraphs',
];

/** @throws RequestError for an option that would override a setting of the resumed training */
export function rejectOverrides(command: Command): void {
  const other = command.options
    .map((option) => option.attributeName())
    .find((key) => !RESUMABLE.includes(key) && command.getOptionValueSource(key) === 'cli');
  if (other !== undefined) {
    throw new RequestError(
      'bad-request',
      `--resume uses the settings of the training; leave ${longOf(command, other)} out`,
    );
  }
}

const longOf = (command: Command, key: string): string =>
  command.options.find((option) => option.attributeName() === key)!.long!;
