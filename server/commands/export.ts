import { writeFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { Engine } from '../../model/engine/engine.js';
import { ModelShelf } from '../../model/shelf/shelf.js';
import { writeWhole } from '../../model/shelf/whole-file.js';
import { DEFAULTS, ENVIRONMENT } from '../config.js';
import { RequestError } from '../contract/errors.js';
import { exportPackage, TENSORFLOW_JS_FILE } from '../packages/export-package.js';
import { STORED_TYPES, type StoredType } from '../packages/test-image.js';
import { integer } from '../terminal/flag-values.js';
import type { CommandContext } from '../terminal/options.js';

interface ExportFlags {
  readonly models: string;
  readonly out?: string;
  readonly onnx?: string;
  readonly type?: StoredType;
  readonly size: number;
  readonly license?: string;
  readonly author?: string[];
  readonly doi?: string;
  readonly tensorflowJs: boolean;
  readonly json?: boolean;
}

const collect = (value: string, before: string[] = []): string[] => [...before, value];

/** `unseam export`: makes a package of BioImage.IO of a model, or writes its network alone. */
export function exportCommand(program: Command, context: CommandContext): void {
  program
    .command('export')
    .description('make a package of a model for other programs, or write its network as ONNX')
    .argument('<name>', 'model, NAME or NAME/VERSION')
    .addOption(
      new Option('--models <folder>', 'folder of models')
        .env(ENVIRONMENT.models)
        .default(DEFAULTS.models, 'those of the package'),
    )
    .option('-o, --out <file>', 'write a package of BioImage.IO 0.5, a zip archive')
    .option('--onnx <file>', 'write the network alone, from intensities to probabilities, without mirroring')
    .addOption(
      new Option(
        '--type <type>',
        "type of the package's images (default: that of the training images, or uint8)",
      ).choices(Object.keys(STORED_TYPES)),
    )
    .option(
      '--size <px>',
      'side of the test image, and of the images that the weights for TensorFlow.js take',
      integer(1, 4096),
      128,
    )
    .option('--no-tensorflow-js', 'leave out the weights for TensorFlow.js, which few programs test')
    .option('--license <id>', 'licence of the package, by its SPDX identifier, such as CC-BY-4.0')
    .option('--author <name>', 'author of the model; repeat it for several', collect)
    .option('--doi <doi>', "DOI of the card's citation, such as 10.1371/journal.pbio.1000502")
    .option('--json', 'print what was written as JSON')
    .action((name: string, flags: ExportFlags, command: Command) =>
      exportModel(name, flags, command, context),
    );
}

/** Options that say how a package is made. */
const PACKAGE_OPTIONS = [
  'type',
  'size',
  'license',
  'author',
  'doi',
  'tensorflowJs',
] as const satisfies (keyof ExportFlags)[];

/** @throws RequestError for options that would be ignored */
async function exportModel(
  name: string,
  flags: ExportFlags,
  command: Command,
  context: CommandContext,
): Promise<void> {
  const { out, onnx, json } = flags;
  if (out === undefined && onnx === undefined) {
    throw new RequestError('bad-request', 'name what to write: --out FILE.zip for a package, or --onnx FILE');
  }
  const [ofPackage] = PACKAGE_OPTIONS.filter((option) => command.getOptionValueSource(option) === 'cli');
  if (out === undefined && ofPackage !== undefined) {
    const { flags: named } = command.options.find((each) => each.attributeName() === ofPackage)!;
    throw new RequestError('bad-request', `${named} is of a package: write one with --out FILE.zip`);
  }
  const model = await new ModelShelf(flags.models).find(name);
  const engine = Engine.start({ provider: 'cpu', threads: 1 });
  const facts: Record<string, unknown> = { model: model.name, version: model.version };
  try {
    if (onnx !== undefined) {
      const network = await engine.exportNetwork(model.folder);
      await writeFile(onnx, network);
      Object.assign(facts, { onnx, onnxBytes: network.length });
      if (!json) context.stdout(`${onnx}: the network of ${model.name} version ${model.version}`);
    }
    if (out !== undefined) {
      const { type, size: side, license, author: authors = [] } = flags;
      const { parts, files, largestDifference, shortestSide } = await exportPackage(engine, {
        model,
        type,
        side,
        license,
        authors,
        doi: flags.doi,
        tensorflowJs: flags.tensorflowJs,
      });
      await writeWhole(out, parts);
      const missing = [
        ...(license === undefined ? ['no licence (--license CC-BY-4.0)'] : []),
        ...(authors.length === 0 ? ["no author (--author 'A. Nobody')"] : []),
      ];
      if (missing.length > 0) {
        context.stderr(
          `note: the package has ${missing.join(' and ')}, without which few collections take it`,
        );
      }
      Object.assign(facts, { package: out, files, largestDifference, shortestSide });
      if (flags.tensorflowJs && !files.includes(TENSORFLOW_JS_FILE)) {
        context.stderr('no weights for TensorFlow.js are part of it: its layers do not compute this network');
      }
      if (!json) {
        const agreement =
          largestDifference === 0
            ? 'the same bits'
            : `probabilities within ${largestDifference.toExponential(1)}`;
        context.stdout(`${out}: ${files.join(', ')}; its ONNX gives ${agreement}`);
      }
    }
  } finally {
    await engine.close();
  }
  if (json) context.stdout(JSON.stringify(facts));
}
