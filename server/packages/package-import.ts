import { createHash } from 'node:crypto';
import { PackageError, UnsupportedPackageError } from '../../model/errors.js';
import { packOnnx } from '../../model/imported/pack-onnx.js';
import { type Card, cardSchema } from '../../model/shelf/card.js';
import { issueOf } from '../../model/shelf/schema-issue.js';
import { classesNamed } from './class-names.js';
import {
  DESCRIPTION_FILES,
  type FileReference,
  type PackageDescription,
  parseDescription,
} from './description.js';
import type { ImportRequest } from './import-network.js';
import { kerasSource, tensorflowJsArchive } from './layers-files.js';
import { type NetworkSource, onnxSource } from './network-source.js';
import { normalise, type PackageFiles } from './package-files.js';
import { normalisationOf, postprocessingOf, type ReadPostprocessing } from './processing.js';
import { imageOf, normalised, postprocessed } from './test-tensors.js';

/** What a package says of a model. */
export interface PackageContent
  extends Pick<ImportRequest, 'network' | 'card' | 'channels' | 'scores' | 'threshold' | 'test' | 'check'> {
  /** What a user should know of it. */
  readonly notes: readonly string[];
}

export interface PackageOptions {
  /** Takes the halo of the network where the package states a smaller one. Default: such a package is refused. */
  readonly derivesHalo: boolean;
}

/**
 * Reads a package of BioImage.IO, and checks it against itself.
 * @throws PackageError for what is damaged, missing, or contradicts itself; UnsupportedPackageError for what is not read
 */
export async function readPackage(files: PackageFiles, options: PackageOptions): Promise<PackageContent> {
  const path = DESCRIPTION_FILES.find((name) => files.paths.includes(name));
  if (path === undefined) {
    throw new PackageError(`${files.name} has no description: ${DESCRIPTION_FILES.join(', or ')}`);
  }
  const description = parseDescription(await files.read(path), path);
  const { input, output } = description;
  const { normalisation, notes } = normalisationOf(input);
  const ending = postprocessingOf(output);
  const network = await networkOf(description, files);
  const [scores] = ending.postprocessing.flatMap(({ step }) => (step === 'threshold' ? [] : [step]));
  const outputs = output.channels;
  const ignored = ending.binarised !== null && (outputs ?? 1) > 2;
  return {
    network,
    notes: ignored ? [...notes, BINARISED_CLASSES] : notes,
    card: {
      description: description.description || description.name,
      normalisation,
      ...channelsOf(description),
      ...(outputs !== null && { classes: classesNamed(output.channelNames, outputs) }),
      micronsPerPixel: input.microns,
      data: {
        description: `not known: imported from a package of BioImage.IO ${description.formatVersion}, ${description.name}`,
        citation: description.citation,
        terms: description.license === null ? 'not known' : `licence: ${description.license}`,
        digest: 'none',
        split: {},
      },
    },
    ...(input.channels !== null && { channels: input.channels }),
    scores: scores ?? 'probabilities',
    ...(ending.binarised !== null && { threshold: ending.binarised }),
    ...(await testOf(description, files, normalisation, ending)),
    check: ({ geometry: { halo } }) => checkHalo(description, halo, options),
  };
}

const BINARISED_CLASSES =
  'its step binarize is left out: of more than two classes, each px has the most probable one';

/** Weights that are read, the preferred ones first. */
const READABLE = ['onnx', 'keras_hdf5', 'tensorflow_js'] as const;
/** What to do with weights that are not read. */
const CONVERSIONS: ReadonlyMap<string, string> = new Map([
  ['pytorch_state_dict', 'tools/from-pytorch.py makes ONNX of them'],
  ['pytorch_script', 'tools/from-pytorch.py makes ONNX of them'],
  ['torchscript', 'tools/from-pytorch.py makes ONNX of them'],
  ['tensorflow_saved_model_bundle', 'tf2onnx makes ONNX of them'],
  ['keras_v3', 'save the network as HDF5 in Keras, by model.save("network.h5")'],
]);

async function networkOf({ weights }: PackageDescription, files: PackageFiles): Promise<NetworkSource> {
  const format = READABLE.find((each) => weights.has(each));
  if (format === undefined) {
    const listed = [...weights.keys()].map((each) => {
      const conversion = CONVERSIONS.get(each);
      return conversion === undefined ? each : `${each} (${conversion})`;
    });
    throw new UnsupportedPackageError(
      `it has no weights that are read (${READABLE.join(', ')}), but ${listed.join('; ') || 'none at all'}`,
    );
  }
  const reference = weights.get(format)!;
  const data = await readChecked(files, reference);
  if (format === 'keras_hdf5') return kerasSource(data, reference.source);
  if (format === 'tensorflow_js') return tensorflowJsArchive(data, reference.source);
  return onnxSource(await withExternal(data, reference, files));
}

/** An ONNX file with its weights in it: the files that it names are those of the package. */
async function withExternal(
  data: Buffer,
  { source }: FileReference,
  files: PackageFiles,
): Promise<Uint8Array> {
  const folder = normalise(source, files.name).split('/').slice(0, -1).join('/');
  const beside = files.paths.filter(
    (path) => /\.(data|bin|weights)$/i.test(path) || path.startsWith(`${source}.`),
  );
  const known = new Map<string, Buffer>();
  for (const path of beside) {
    if (path.split('/').slice(0, -1).join('/') === folder)
      known.set(path.split('/').at(-1)!, await files.read(path));
  }
  return packOnnx(data, null, (location, offset, length) => {
    const bytes = known.get(location);
    const end = offset + (length ?? (bytes?.length ?? 0) - offset);
    if (!bytes || offset < 0 || end > bytes.length || end < offset) {
      throw new PackageError(`${source} has its weights in "${location}", which is missing or too short`);
    }
    return bytes.subarray(offset, end);
  });
}

/** A file whose digest is that of the description, where it states one. @throws PackageError */
async function readChecked(files: PackageFiles, { source, sha256 }: FileReference): Promise<Buffer> {
  const data = await files.read(source);
  const found = createHash('sha256').update(data).digest('hex');
  if (sha256 === null || found === sha256.toLowerCase()) return data;
  throw new PackageError(`${source} was changed: its SHA-256 is ${found}, and the package states ${sha256}`);
}

async function testOf(
  { input, output }: PackageDescription,
  files: PackageFiles,
  normalisation: Parameters<typeof normalised>[1],
  ending: ReadPostprocessing,
): Promise<Pick<PackageContent, 'test'>> {
  if (input.test === null || output.test === null) return {};
  const image = imageOf(await readChecked(files, input.test), input.test.source, input);
  const expected = imageOf(await readChecked(files, output.test), output.test.source, output);
  return {
    test: {
      input: normalised(image, normalisation),
      output: expected,
      finish: (computed) => postprocessed(computed, ending),
    },
  };
}

/** Names of channels that say nothing: gray, colours, and numbers. */
const PLAIN_NAMES = /^(c|ch|chan|channel|dim|input)?[-_ ]?\d*$|^(gr[ae]y|intensity|raw)$/i;
const COLOURS = /^(r(ed)?,g(reen)?,b(lue)?)$/i;

function channelsOf({ input }: PackageDescription): Pick<Card, 'channels'> {
  const { channelNames, channels } = input;
  if (channels === null || channels === 1) return {}; // an only channel is gray, whatever it is called
  const names = channelNames ?? Array.from({ length: channels }, (_, i) => `channel${i}`);
  const isPlain = names.every((name) => PLAIN_NAMES.test(name)) || COLOURS.test(names.join());
  if (channels === 3 && isPlain) return {};
  return { channels: names.map((name) => ({ name, aliases: [] })) };
}

/** @throws PackageError where a package states a smaller halo than its network needs */
function checkHalo(
  { output }: PackageDescription,
  derived: Card['architecture']['halo'],
  { derivesHalo }: PackageOptions,
): void {
  if (output.halo === null || derivesHalo) return;
  const [y, x] = [Math.max(derived.top, derived.bottom), Math.max(derived.left, derived.right)];
  if (output.halo.y >= y && output.halo.x >= x) return;
  throw new PackageError(
    `it states a halo of ${output.halo.y} × ${output.halo.x} px, and its network needs ${y} × ${x}: tiles would have seams; import it with --derive-halo, which takes the network's`,
  );
}

/** The card that this server has put into a package; null where another program has made it. @throws PackageError */
export async function ownCard(files: PackageFiles): Promise<Card | null> {
  if (!files.paths.includes('card.json') || !files.paths.includes('network.onnx')) return null;
  let json: unknown;
  try {
    json = JSON.parse((await files.read('card.json')).toString('utf8'));
  } catch (cause) {
    throw new PackageError('card.json is no JSON', { cause });
  }
  const parsed = cardSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new PackageError(`card.json: ${issueOf(parsed.error)}`);
}
