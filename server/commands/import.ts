import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Command, Option } from 'commander';
import { hasCode, RemoteError } from '../../model/errors.js';
import type { Normalisation } from '../../model/network/normalisation.js';
import type { ScoreKind } from '../../model/network/score-kind.js';
import type { Card } from '../../model/shelf/card.js';
import { RequestError } from '../contract/errors.js';
import { importNetwork } from '../packages/import-network.js';
import { readImportSource } from '../packages/import-source.js';
import type { NetworkSource, WrittenNetwork } from '../packages/network-source.js';
import { openEngineOf } from '../terminal/engine.js';
import { integer, modelName, positive } from '../terminal/flag-values.js';
import { type CommandContext, type EngineFlags, engineOptions } from '../terminal/options.js';
import type { ImageChannels } from '../training/data/image-channels.js';
import { summaryOf } from './import-summary.js';
import { parseClasses, parseImageChannels } from './training-values.js';

interface ImportFlags extends EngineFlags {
  readonly name: string;
  readonly modelVersion: number;
  readonly output?: string;
  readonly imageChannels?: ImageChannels;
  readonly classes?: Card['classes'];
  readonly scores?: ScoreKind;
  readonly normalisation?: keyof typeof NORMALISATIONS;
  readonly micronsPerPixel?: number;
  readonly approximate?: number | true;
  readonly deriveHalo?: boolean;
  readonly json?: boolean;
}

/** The side of the tiles of a network that is not exact, in px, where none is requested. */
const APPROXIMATE_SIDE = 512;

/** What becomes of the stored values of images, where a network comes without a package that states it. */
const NORMALISATIONS = {
  'type-range': [{ step: 'type-range' }],
  none: [],
} as const satisfies Record<string, Normalisation>;

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
    .addOption(
      new Option(
        '--normalisation <kind>',
        'what becomes of the values of images: 0 to 1, by the range of their type (type-range), or nothing, as they are ' +
          'stored (none); other steps are for card.json (default: as its package says; else type-range)',
      ).choices(Object.keys(NORMALISATIONS)),
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
  const folder = join(models, name, String(version));
  await requireNew(folder, `${name}/${version}`);
  const printNote = (note: string) => context.stderr(`note: ${note}`);
  const {
    notes,
    card: known,
    ...read
  } = await readImportSource(source, {
    output: flags.output ?? null,
    derivesHalo: flags.deriveHalo ?? false,
    normalisation: flags.normalisation && NORMALISATIONS[flags.normalisation],
  });
  for (const note of notes) printNote(note);
  const engine = await openEngineOf(flags, context.stderr);
  let network: WrittenNetwork | undefined;
  try {
    const side = approximate === true ? APPROXIMATE_SIDE : approximate;
    const card = await importNetwork({
      engine,
      folder,
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
      ...(side !== undefined && { approximateSide: side }),
      onStep: (step) => context.stderr(`${step} …`),
      onFound: (found) => (network = found),
      onNote: printNote,
    });
    const { smallest, tileable } = card.architecture;
    if (typeof approximate === 'number' && !tileable && network!.isOfOneSize && smallest !== approximate) {
      printNote(
        `--approximate ${approximate} is ignored: the file fixes its images to ${smallest} × ${smallest} px; export it with rows and columns left open (dynamic_axes)`,
      );
    }
    const facts = {
      card,
      network: network!,
      assumesInput: known.normalisation === undefined,
      assumesScores: network!.ending === null && (flags.scores ?? read.scores) === undefined,
    };
    if (flags.json) context.stdout(JSON.stringify(card));
    else for (const line of summaryOf(facts)) context.stdout(line);
  } catch (error) {
    throw approximate === undefined && hasCode(error, 'inexact-model')
      ? withRemedy(error as Error, read.network.kind)
      : error;
  } finally {
    await engine.close();
  }
}

/** @throws RequestError for a version that exists: before anything is computed for it */
async function requireNew(folder: string, model: string): Promise<void> {
  if (!existsSync(folder)) return;
  const versions = (await readdir(dirname(folder))).map(Number).filter(Number.isInteger);
  throw new RequestError(
    'conflict',
    `the model ${model} exists already: give another --name, or --model-version ${Math.max(0, ...versions) + 1}`,
  );
}

/** The refusal of a network that is not exact, with what can be done. */
function withRemedy({ message }: Error, kind: NetworkSource['kind']): RemoteError {
  const remedy =
    kind === 'onnx'
      ? 'the network is accepted all the same with --approximate, in tiles of one size, and not exact'
      : 'convert the network to ONNX, by tf2onnx, and import that';
  return new RemoteError('inexact-model', `${message}; ${remedy}`);
}
