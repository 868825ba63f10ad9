import type { InspectedOnnx } from '../../model/engine/engine-methods.js';
import { PackageError, UnsupportedPackageError } from '../../model/errors.js';
import { packOnnx } from '../../model/imported/pack-onnx.js';
import type { Margins } from '../../model/network/geometry.js';
import type { Card } from '../../model/shelf/card.js';
import type { PackageDescription } from './description.js';
import type { ImportSource } from './import-network.js';
import { kerasSource, tensorflowJsArchive } from './layers-files.js';
import { type NetworkSource, onnxSource } from './network-source.js';
import { type FileReference, normalise, type PackageFiles } from './package-files.js';
import { normalisationOf, postprocessingOf, type ReadPostprocessing } from './processing.js';
import { readChecked } from './read-checked.js';
import { imageOf, normalised, postprocessed } from './test-tensors.js';

export interface PackageOptions {
  /** Takes the halo of the network where the package states a smaller one. Default: such a package is refused. */
  readonly derivesHalo: boolean;
}

/**
 * Reads a package that another program has made, and checks it against itself.
 * @throws PackageError for what is damaged, missing, or contradicts itself; UnsupportedPackageError for what is not supported
 */
export async function readForeignPackage(
  files: PackageFiles,
  description: PackageDescription,
  options: PackageOptions,
): Promise<ImportSource> {
  const { input, output } = description;
  const { normalisation, notes } = normalisationOf(input);
  const ending = postprocessingOf(output);
  const network = await networkOf(description, files);
  const [scores] = ending.postprocessing.flatMap(({ step }) => (step === 'threshold' ? [] : [step]));
  return {
    network,
    notes,
    card: {
      description: description.description || description.name,
      normalisation,
      ...channelsOf(description),
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
    outputNames: output.channelNames,
    ...(ending.binarised !== null && { threshold: ending.binarised }),
    ...(await testOf(description, files, normalisation, ending)),
    check: (found) => checkHalo(description, found, options),
  };
}

/** Weights that are supported, the preferred ones first. */
const SUPPORTED = ['onnx', 'keras_hdf5', 'tensorflow_js'] as const;
/** The converter is part of the source code, and of the package of npm. */
const FROM_PYTORCH = 'convert the package by tools/from-pytorch.py of unseam, in an environment of Python';
/** What to do with others. */
const CONVERSIONS: ReadonlyMap<string, string> = new Map([
  ['pytorch_state_dict', FROM_PYTORCH],
  ['pytorch_script', FROM_PYTORCH],
  ['torchscript', FROM_PYTORCH],
  ['tensorflow_saved_model_bundle', 'convert the network to ONNX by tf2onnx'],
  ['keras_v3', 'save the network as HDF5 in Keras, by model.save("network.h5")'],
]);

const orOf = (items: readonly string[]): string =>
  new Intl.ListFormat('en', { type: 'disjunction' }).format(items);

async function networkOf({ weights }: PackageDescription, files: PackageFiles): Promise<NetworkSource> {
  const format = SUPPORTED.find((each) => weights.has(each));
  if (format === undefined) {
    const listed = [...weights.keys()].map((each) => {
      const conversion = CONVERSIONS.get(each);
      return conversion === undefined ? each : `${each} (${conversion})`;
    });
    throw new UnsupportedPackageError(
      `none of its weights are supported: expected ${orOf(SUPPORTED)}, and it has ${listed.join('; ') || 'none at all'}`,
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
  const folder = normalise(source, files.name).split('/').slice(0, -1);
  const known = new Map<string, Buffer>();
  for (;;) {
    let missing: string | null = null;
    try {
      return packOnnx(data, null, (location, offset, length) => {
        const bytes = known.get(location);
        if (!bytes) {
          missing = location;
          throw new PackageError(`${source} has its weights in "${location}"`);
        }
        const end = offset + length;
        if (end > bytes.length) {
          throw new PackageError(`${source} has its weights in "${location}", which is too short`);
        }
        return bytes.subarray(offset, end);
      });
    } catch (error) {
      if (missing === null) throw error;
      known.set(missing, await files.read([...folder, missing].join('/'))); // and from the start: most have one file
    }
  }
}

async function testOf(
  { input, output }: PackageDescription,
  files: PackageFiles,
  normalisation: Parameters<typeof normalised>[1],
  ending: ReadPostprocessing,
): Promise<Pick<ImportSource, 'test'>> {
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
  { reach, geometry }: InspectedOnnx,
  { derivesHalo }: PackageOptions,
): void {
  if (output.halo === null || derivesHalo) return;
  const side = (edge: keyof Margins) => Math.min(reach[edge], geometry.halo[edge]); // less in tiles of one size
  const [y, x] = [Math.max(side('top'), side('bottom')), Math.max(side('left'), side('right'))];
  if (output.halo.y >= y && output.halo.x >= x) return;
  throw new PackageError(
    `it states a halo of ${output.halo.y} × ${output.halo.x} px, and its network needs ${y} × ${x}: tiles would have seams; import it with --derive-halo, which takes the network's`,
  );
}
