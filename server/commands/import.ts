import { basename, join } from 'node:path';
import { type Command, Option } from 'commander';
import { hasCode } from '../../model/errors.js';
import type { ScoreKind } from '../../model/network/score-kind.js';
import type { Card } from '../../model/shelf/card.js';
import { RequestError } from '../contract/errors.js';
import { importNetwork } from '../packages/import-network.js';
import { readImportSource } from '../packages/import-source.js';
import { openEngineOf } from '../terminal/engine.js';
import { integer, modelName, positive } from '../terminal/flag-values.js';
import { type CommandContext, type EngineFlags, engineOptions } from '../terminal/options.js';
import type { ImageChannels } from '../training/data/image-channels.js';
import { parseClasses, parseImageChannels } from './training-values.js';

interface ImportFlags extends EngineFlags {
  readonly name: string;
  readonly modelVersion: number;
  readonly output?: string;
  readonly imageChannels?: ImageChannels;
  readonly classes?: Card['classes'];
  readonly scores?: ScoreKind;
  readonly micronsPerPixel?: number;
  readonly approximate?: number | true;
  readonly deriveHalo?: boolean;
  readonly json?: boolean;
}

/** The side of the tiles of a network that is not exact, in px, where none is requested. */
const APPROXIMATE_SIDE = 512;

const MAX_SIDE = 8192;
const MAX_VERSION = 1_000_000;

/** Names of the channels in the order in which the network takes them: none has a number. */
function parseNames(text: string): ImageChannels {
  const channels = parseImageChannels(text);
  if (channels.indexes === null) return channels;
  throw new RequestError(
    'bad-request',
    `--image-channels ${text}: give names alone, in the order in which the network takes them`,
  );
}

/** `unseam import`: makes a model of somebody else's network. */
export function importCommand(program: Command, context: CommandContext): void {
  engineOptions(program.command('import'))
    .description("import somebody else's network as a model, and verify it on this machine")
    .argument(
      '<source>',
      'an ONNX file, a package of BioImage.IO (archive, folder or description), HDF5 of Keras, or model.json of TensorFlow.js',
    )
    .requiredOption('--name <name>', 'name of the model', modelName)
    .option('--model-version <number>', 'its version', integer(1, MAX_VERSION), 1)
    .option('--output <name>', 'output of an ONNX file that has several')
    .option(
      '--image-channels <names>',
      'channels of the images that it takes, in order, with aliases, such as DAPI|Hoechst,CD45',
      parseNames,
    )
    .option(
      '--classes <names>',
      'its classes, the background first, such as background,nucleus or background,nucleus:#ff0000',
      parseClasses,
    )
    .addOption(
      new Option(
        '--scores <kind>',
        'what it returns where its graph does not end in softmax or sigmoid: logits of one of these, or probabilities ' +
          '(default: as its package says; else logits of softmax, or of sigmoid for one channel)',
      ).choices(['softmax', 'sigmoid', 'probabilities']),
    )
    .option('--microns-per-pixel <number>', 'pixel size of the images that it was trained on', positive)
    .option(
      '--approximate [px]',
      `accept an ONNX network that is not exact: it has tiles of this side alone (default: ${APPROXIMATE_SIDE})`,
      integer(1, MAX_SIDE),
    )
    .option('--derive-halo', 'take the halo of the network where its package states a smaller one')
    .option('--json', 'print the card as JSON')
    .action((source: string, flags: ImportFlags) => importSource(source, flags, context));
}

async function importSource(source: string, flags: ImportFlags, context: CommandContext): Promise<void> {
  const { name, modelVersion: version, models, approximate, imageChannels, classes, micronsPerPixel } = flags;
  const {
    notes,
    card: known,
    ...read
  } = await readImportSource(source, {
    output: flags.output ?? null,
    derivesHalo: flags.deriveHalo ?? false,
  });
  for (const note of notes) context.stderr(`note: ${note}`);
  const engine = await openEngineOf(flags, context.stderr);
  try {
    const card = await importNetwork({
      engine,
      folder: join(models, name, String(version)),
      name,
      version,
      ...read,
      source: basename(source),
      card: {
        ...known,
        ...(classes && { classes }),
        ...(imageChannels && { channels: [...imageChannels.named] }),
        ...(micronsPerPixel !== undefined && { micronsPerPixel }),
      },
      ...(imageChannels && { channels: read.channels ?? imageChannels.named.length }),
      ...(flags.scores && { scores: flags.scores }),
      ...(approximate !== undefined && {
        approximateSide: approximate === true ? APPROXIMATE_SIDE : approximate,
      }),
      onStep: (step) => context.stderr(`${step} …`),
    });
    if (flags.json) context.stdout(JSON.stringify(card));
    else for (const line of summaryOf(card)) context.stdout(line);
  } catch (error) {
    if (approximate === undefined && hasCode(error, 'inexact-model'))
      context.stderr(
        'note: an ONNX network is accepted all the same with --approximate: in tiles of one size, and not exact',
      );
    throw error;
  } finally {
    await engine.close();
  }
}

function summaryOf({ name, version, architecture, inputChannels, classes, imported }: Card): string[] {
  const { halo, multiple, smallest, parameters, tileable } = architecture;
  const { tiles, outside, test } = imported!.verification;
  const values = (n: number) => n.toLocaleString('en');
  const channels = `${inputChannels} ${inputChannels === 1 ? 'channel' : 'channels'}`;
  return [
    `${name}/${version}: ${values(parameters)} parameters, ${channels}, ${classes.length} classes`,
    tileable
      ? `exact: a halo of ${halo.top}, ${halo.left}, ${halo.bottom}, ${halo.right} px (top, left, bottom, right), tiles of ${smallest} px and multiples of ${multiple} more`
      : `not exact: tiles of ${smallest} px alone`,
    ...(tiles ? [`verified: 0 of ${values(tiles.values)} values of tiles differ from one pass`] : []),
    ...(outside ? [`verified: px beyond the halo change none of ${values(outside.values)} values`] : []),
    ...(test ? [`its test: within its tolerance, the largest difference is ${test.largestDifference}`] : []),
  ];
}
