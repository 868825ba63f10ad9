import { basename, join } from 'node:path';
import { type Command, Option } from 'commander';
import type { ScoreKind } from '../../model/network/head.js';
import { type Card, modelNameSchema } from '../../model/shelf/card.js';
import { RequestError } from '../contract/errors.js';
import { classesOf } from '../packages/class-names.js';
import { importNetwork } from '../packages/import-network.js';
import { readImportSource } from '../packages/import-source.js';
import { openEngineOf } from '../terminal/engine.js';
import { type CommandContext, type EngineFlags, engineOptions } from '../terminal/options.js';
import { parseList } from './training-values.js';

interface ImportFlags extends EngineFlags {
  readonly name: string;
  readonly modelVersion: number;
  readonly output?: string;
  readonly channels?: string[];
  readonly classes?: string[];
  readonly scores?: ScoreKind;
  readonly micronsPerPixel?: number;
  readonly approximate?: number | true;
  readonly deriveHalo?: boolean;
  readonly json?: boolean;
}

/** The side of the tiles of a network that is not exact, in px, where none is requested. */
const APPROXIMATE_SIDE = 512;

const parsePositive = (text: string): number => {
  const value = Number(text);
  if (!(value > 0)) throw new RequestError('bad-request', `${text} is no positive number`);
  return value;
};
const parseSide = (text: string): number => {
  const side = Number(text);
  if (!Number.isInteger(side) || side < 1)
    throw new RequestError('bad-request', `${text} is no number of px`);
  return side;
};

/** `unseam import`: makes a model of somebody else's network. */
export function importCommand(program: Command, context: CommandContext): void {
  engineOptions(program.command('import'))
    .description("import somebody else's network as a model, and verify it on this machine")
    .argument(
      '<source>',
      'an ONNX file, a package of BioImage.IO (archive, folder or description), HDF5 of Keras, or model.json of TensorFlow.js',
    )
    .requiredOption('--name <name>', 'name of the model')
    .option('--model-version <number>', 'its version', parseSide, 1)
    .option('--output <name>', 'output of the network, where it has several')
    .option('--channels <names>', 'names of its channels, in order, such as DAPI,CD45', parseList)
    .option(
      '--classes <names>',
      'names of its classes, the background first, such as background,nucleus',
      parseList,
    )
    .addOption(
      new Option('--scores <kind>', 'what it returns, where it does not end in softmax or sigmoid')
        .choices(['softmax', 'sigmoid', 'probabilities'])
        .default(undefined, 'logits of a softmax, or of a sigmoid for one channel'),
    )
    .option('--microns-per-pixel <number>', 'pixel size of the images that it was trained on', parsePositive)
    .option(
      '--approximate [px]',
      `accept a network that is not exact: it has tiles of this side alone, ${APPROXIMATE_SIDE} by default`,
      parseSide,
    )
    .option('--derive-halo', 'take the halo of the network where its package states a smaller one')
    .option('--json', 'print the card as JSON')
    .action((source: string, flags: ImportFlags) => importSource(source, flags, context));
}

async function importSource(source: string, flags: ImportFlags, context: CommandContext): Promise<void> {
  const { name, modelVersion: version, models, approximate } = flags;
  const parsed = modelNameSchema.safeParse(name);
  if (!parsed.success)
    throw new RequestError('bad-request', `--name ${name}: ${parsed.error.issues[0]!.message}`);
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
        ...(flags.classes && { classes: classesOf(flags.classes) }),
        ...(flags.channels && { channels: flags.channels.map((each) => ({ name: each, aliases: [] })) }),
        ...(flags.micronsPerPixel !== undefined && { micronsPerPixel: flags.micronsPerPixel }),
      },
      ...(flags.channels && { channels: flags.channels.length }),
      ...(flags.scores && { scores: flags.scores }),
      ...(approximate !== undefined && {
        approximateSide: approximate === true ? APPROXIMATE_SIDE : approximate,
      }),
      onStep: (step) => context.stderr(`${step} …`),
    });
    if (flags.json) context.stdout(JSON.stringify(card));
    else for (const line of summaryOf(card)) context.stdout(line);
  } finally {
    await engine.close();
  }
}

function summaryOf({ name, version, architecture, inputChannels, classes, imported }: Card): string[] {
  const { halo, multiple, smallest, parameters, tileable } = architecture;
  const { tiles, outside, test } = imported!.verification;
  const values = (n: number) => n.toLocaleString('en');
  return [
    `${name}/${version}: ${values(parameters)} parameters, ${inputChannels} channels, ${classes.length} classes`,
    tileable
      ? `exact: a halo of ${halo.top}, ${halo.left}, ${halo.bottom}, ${halo.right} px (top, left, bottom, right), tiles of ${smallest} px and multiples of ${multiple} more`
      : `not exact: tiles of ${smallest} px alone`,
    ...(tiles ? [`verified: 0 of ${values(tiles.values)} values of tiles differ from one pass`] : []),
    ...(outside ? [`verified: px beyond the halo change none of ${values(outside.values)} values`] : []),
    ...(test ? [`its test: within its tolerance, the largest difference is ${test.largestDifference}`] : []),
  ];
}
