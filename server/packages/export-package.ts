import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import type { Engine } from '../../model/engine/engine.js';
import type { ExportedModel, StoredPixels } from '../../model/exchange/export-model.js';
import { encodeNpy } from '../../model/exchange/npy.js';
import type { FoundModel } from '../../model/shelf/shelf.js';
import { OWN_CARD, OWN_NETWORK } from './description.js';
import { checkTiles, type StoredValues, storedValuesOf } from './exportable.js';
import { readmeOf } from './package-readme.js';
import { paintTestImage, type StoredType } from './test-image.js';
import { predictWholeImage } from './whole-image.js';
import { type ZipFile, zipParts } from './zip-writer.js';

export interface PackageRequest {
  readonly model: FoundModel;
  /** The type of the images that it is for. Default: that of the training images where the card has it, or uint8. */
  readonly type: StoredType | undefined;
  /** The side of the test image, and of the images that the weights for TensorFlow.js take. */
  readonly side: number;
  /** An identifier of SPDX, such as `CC-BY-4.0`; without one, the package has none. */
  readonly license: string | undefined;
  readonly authors: readonly string[];
  /** Whether weights for TensorFlow.js are part of it, where its network is one of layers. */
  readonly tensorflowJs: boolean;
  /** The DOI of the citation. Default: that which its text has, if any. */
  readonly doi: string | undefined;
}

/** A package, and what it was found to compute. */
export interface ExportedPackage extends Pick<ExportedModel, 'shortestSide'> {
  /** Between the probabilities of the test image as they are served and as the package's ONNX gives them. */
  readonly largestDifference: number;
  readonly parts: readonly Uint8Array[];
  /** The names of its files. */
  readonly files: readonly string[];
}

/** The weights for TensorFlow.js in a package. */
export const TENSORFLOW_JS_FILE = 'tensorflow_js.zip';
/** Of BioImage.IO's descriptions. */
const FORMAT_VERSION = '0.5.4';
const TFJS_VERSION = '4.22.0';
const OPSET = 18;

/**
 * Makes a package of BioImage.IO of a model: ONNX, and where its network is one of layers, TensorFlow.js; a test image and
 * what this server computes of it; its card, citation and documentation. Equal models give equal bytes.
 * @throws ModelChoiceError for a quantised version, one whose tiles have one size, and one whose normalisation cannot be part
 * of a graph
 */
export async function exportPackage(engine: Engine, request: PackageRequest): Promise<ExportedPackage> {
  const { model, side } = request;
  const { card } = model;
  checkTiles(card);
  const { type, range } = storedValuesOf(card, request.type);
  const channels = card.inputChannels;
  const image = paintTestImage(type, side, channels, range);
  const exported = await engine.exportModel(model.folder, {
    range,
    side,
    image: image.slice(),
    layers: request.tensorflowJs,
    classes: card.classes.length,
  });
  const served = await serve(engine, model.folder, image, side);
  const { probabilities } = exported;
  const largestDifference = served.reduce(
    (most, value, i) => Math.max(most, Math.abs(value - (probabilities[i] ?? Number.NaN))),
    0,
  );
  const images: ZipFile[] = [
    {
      name: 'test_input.npy',
      data: encodeNpy({ shape: [1, side, side, channels], data: Float32Array.from(image) }),
    },
    {
      name: 'test_output.npy',
      data: encodeNpy({ shape: [1, side, side, card.classes.length], data: served }),
    },
  ];
  const { onnx, layers } = exported;
  const weights: ZipFile[] = [
    { name: 'weights.onnx', data: onnx },
    ...(layers ? [{ name: TENSORFLOW_JS_FILE, data: zipOf(layers) }] : []),
  ];
  const files: ZipFile[] = [
    {
      name: 'README.md',
      data: Buffer.from(readmeOf(card, { type, range, side, exported, largestDifference })),
    },
    { name: OWN_CARD, data: Buffer.from(`${JSON.stringify(card, null, 2)}\n`) },
    { name: OWN_NETWORK, data: await engine.exportNetwork(model.folder) },
    ...images,
    ...weights,
  ];
  const description = describe(request, { type, range, shortest: exported.shortestSide }, files);
  const all = [
    { name: 'rdf.yaml', data: Buffer.from(stringify(description, { aliasDuplicateObjects: false })) },
    ...files,
  ];
  return {
    largestDifference,
    shortestSide: exported.shortestSide,
    parts: zipParts(all),
    files: all.map(({ name }) => name),
  };
}

async function serve(
  engine: Engine,
  folder: string,
  image: StoredPixels,
  side: number,
): Promise<Float32Array> {
  const model = await engine.load(folder);
  try {
    return await predictWholeImage(engine, model, image, { width: side, height: side });
  } finally {
    await engine.unload(model.id);
  }
}

function zipOf({ topology, weights }: NonNullable<ExportedModel['layers']>): Buffer {
  const files = [
    { name: 'model.json', data: Buffer.from(topology) },
    { name: 'weights.bin', data: weights },
  ];
  return Buffer.concat(zipParts(files));
}

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

/** `rdf.yaml`. Of its keys, those that are undefined are left out. */
function describe(
  { license, authors, doi, side, model: { card } }: PackageRequest,
  { type, range, shortest }: StoredValues & { readonly shortest: number },
  files: readonly ZipFile[],
): object {
  const file = (name: string) => {
    const found = files.find((each) => each.name === name);
    return found && { source: name, sha256: sha256(found.data) };
  };
  const scale = card.micronsPerPixel === null ? {} : { scale: card.micronsPerPixel, unit: 'micrometer' };
  const space = (id: string, size: object) => ({ type: 'space', id, ...scale, size });
  const sized = { min: shortest, step: 1 };
  const like = (axis: string) => ({ tensor_id: 'image', axis_id: axis });
  const names =
    card.channels?.map(({ name }) => name) ??
    (card.inputChannels === 1 ? ['gray'] : ['red', 'green', 'blue']);
  const tensorflowJs = file(TENSORFLOW_JS_FILE);
  return {
    format_version: FORMAT_VERSION,
    type: 'model',
    name: `${card.name} ${card.version}`.padEnd(5, '_'),
    description: card.description.slice(0, 1024) || card.name,
    authors: authors.map((name) => ({ name })),
    cite: citationOf(card.data.citation, doi),
    license,
    tags: ['segmentation', 'microscopy', 'unet', '2d', 'unseam'],
    documentation: file('README.md'),
    attachments: [file(OWN_CARD), file(OWN_NETWORK)],
    inputs: [
      {
        id: 'image',
        description: `stored values, ${range[0]} for black and ${range[1]} for white`,
        axes: [
          { type: 'batch' },
          space('y', sized),
          space('x', sized),
          { type: 'channel', channel_names: identifiers(names) },
        ],
        data: { type: 'float32', range: [...range] },
        test_tensor: file('test_input.npy'),
        preprocessing: [{ id: 'ensure_dtype', kwargs: { dtype: 'float32' } }],
      },
    ],
    outputs: [
      {
        id: 'probabilities',
        description: 'the probability of each class',
        axes: [
          { type: 'batch' },
          space('y', like('y')),
          space('x', like('x')),
          { type: 'channel', channel_names: identifiers(card.classes.map(({ name }) => name)) },
        ],
        data: { type: 'float32', range: [0, 1] },
        test_tensor: file('test_output.npy'),
        postprocessing: [{ id: 'ensure_dtype', kwargs: { dtype: 'float32' } }],
      },
    ],
    weights: {
      onnx: { ...file('weights.onnx'), opset_version: OPSET },
      tensorflow_js: tensorflowJs && {
        ...tensorflowJs,
        parent: 'onnx',
        tensorflow_version: TFJS_VERSION,
        comment: `For images of ${side} × ${side} px.`,
      },
    },
    config: { unseam: { model: card.name, version: card.version, stored_type: type } },
  };
}

/** A citation needs a DOI, or an address: without one, it stands in the documentation alone. */
function citationOf(text: string | null, doi: string | undefined): object[] | undefined {
  const found = doi ?? /\b10\.\d{4,9}\/[^\s;,]*[^\s;,.]/.exec(text ?? '')?.[0];
  return found === undefined ? undefined : [{ text: text ?? found, doi: found }];
}

/** Names as identifiers of axes: of letters, digits and underscores. */
const identifiers = (names: readonly string[]): string[] =>
  names.map((name, i) => name.replace(/[^A-Za-z0-9_]+/g, '_').replace(/^(?=\d)/, 'c') || `channel${i}`);
