import type { Command } from 'commander';
import { type Card, unetOf } from '../../model/card.js';
import { readCard } from '../../model/model-files.js';
import type { ModelShelf } from '../../model/shelf.js';
import { RequestError } from '../contract/errors.js';
import type { EngineFlags, ScratchFlags } from '../terminal/options.js';
import { MONITORS } from '../training/monitor.js';
import type { RunConfig } from '../training/run-config.js';
import { type SettingFlags, settingsOf } from './training-options.js';
import { classesOf, classList, parseLegend } from './training-values.js';

/** What `unseam train` is given. */
export interface TrainFlags extends EngineFlags, ScratchFlags, SettingFlags {
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
 * What a training is to be, of what was given.
 * @throws RequestError for options that are missing, or do not go together
 */
export async function configOf(flags: TrainFlags, command: Command, shelf: ModelShelf): Promise<RunConfig> {
  const { images, labels, from } = flags;
  for (const [option, value] of Object.entries({ images, labels })) {
    if (value === undefined) throw new RequestError('bad-request', `--${option} is missing`);
  }
  const classes = classesOf(flags);
  if (flags.folds !== undefined && flags.validation !== undefined) {
    throw new RequestError('bad-request', '--folds chooses the validation images; leave --validation out');
  }
  if (flags.freezeEncoder && from === undefined) {
    throw new RequestError('bad-request', '--freeze-encoder needs a model to start --from');
  }
  const settings = settingsOf(flags);
  if (Array.isArray(settings.classWeights) && settings.classWeights.length !== classes.length) {
    throw new RequestError(
      'bad-request',
      `--class-weights needs ${classes.length} numbers, one for each class`,
    );
  }
  if (settings.monitor === 'vRand' && classes.length !== 2) {
    throw new RequestError(
      'bad-request',
      `--monitor vRand is for two classes, there are ${classes.length}: choose ${MONITORS.filter((m) => m !== 'vRand').join(', ')}`,
    );
  }
  const start = from === undefined ? null : (await shelf.find(from)).folder;
  const card = start === null ? null : await readCard(start);
  return {
    images: images!,
    labels: labels!,
    name: flags.name,
    version: 1,
    classes,
    legend: flags.legend === undefined ? null : parseLegend(flags.legend, classes),
    ignore: flags.ignore ?? null,
    instances: flags.instances ?? false,
    range: flags.range ?? (card === null ? 'type' : { of: { normalisation: card.normalisation } }),
    validation: flags.validation ?? null,
    test: flags.test,
    settings: card === null ? settings : { ...settings, unet: netOf(card, command, settings) },
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
function netOf(card: Card, command: Command, settings: RunConfig['settings']) {
  const given = NET_OPTIONS.find((key) => command.getOptionValueSource(key) === 'cli');
  if (given !== undefined) {
    throw new RequestError(
      'bad-request',
      `--from takes the network of its model over; leave ${longOf(command, given)} out`,
    );
  }
  const { classes: _classes, seed: _seed, ...net } = unetOf(card, 0);
  const { dropout } = settings.unet;
  return { ...net, ...(dropout !== undefined && { dropout }) };
}

/** What stays free when a training is resumed: where things are, and how many threads there are. */
const FREE = [
  ...['name', 'models', 'scratch', 'maxPixels', 'maxUnpacked', 'threads', 'resume'],
  ...['dumpGraphs', 'profileGraphs'],
];

/** @throws RequestError for options that a training which is resumed has already */
export function refuseBesideResume(command: Command): void {
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

/** The command as it could be typed again: what was given, in the order of the options. */
function commandLine(command: Command): string {
  const given = command.options.flatMap((option) => {
    const key = option.attributeName();
    if (
      command.getOptionValueSource(key) !== 'cli' ||
      ['models', 'scratch', 'dumpGraphs', 'profileGraphs'].includes(key)
    )
      return [];
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
