import { parseDocument } from 'yaml';
import type { z } from 'zod';
import { PackageError, UnsupportedPackageError } from '../../model/errors.js';
import { description04, description05, descriptionHead } from './description-schema.js';
import type { FileReference } from './package-files.js';
import { parseBy } from './read-checked.js';
import type { StoredType } from './test-image.js';

/** A dimension of an image. */
export type AxisName = 'b' | 'c' | 'y' | 'x';

/** A step of pre- or postprocessing as a package states it. */
export interface ProcessingStep {
  readonly id: string;
  readonly kwargs: Readonly<Record<string, unknown>>;
}

/** An image that a model takes or returns. */
export interface TensorDescription {
  readonly id: string;
  /** In the order of the tensor's dimensions. */
  readonly axes: readonly AxisName[];
  /** Channels, where the package fixes them. */
  readonly channels: number | null;
  /** Names of the channels; null where it has none. */
  readonly channelNames: readonly string[] | null;
  /** Of an output: the px that are to be cut off, as the package states it; null where it does not. */
  readonly halo: { readonly y: number; readonly x: number } | null;
  /** The least and the greatest value; null where they are not stated. */
  readonly range: readonly [number, number] | null;
  readonly steps: readonly ProcessingStep[];
  readonly test: FileReference | null;
  /** Micrometres per px; null where it is not stated. */
  readonly microns: number | null;
}

/** What a package of ours has besides. */
export interface OwnFiles {
  readonly storedType: StoredType;
  readonly card: FileReference;
  /** The network alone, without what mirrors. */
  readonly network: FileReference;
}

/** What is used of the description of a model, whatever its format version. */
export interface PackageDescription {
  readonly formatVersion: string;
  readonly name: string;
  readonly description: string;
  readonly license: string | null;
  readonly citation: string | null;
  readonly input: TensorDescription;
  readonly output: TensorDescription;
  /** By their format, such as `onnx`. */
  readonly weights: ReadonlyMap<string, FileReference>;
  /** Null where another program has made it. */
  readonly own: OwnFiles | null;
}

/** The files of a package of ours. */
export const OWN_CARD = 'card.json';
export const OWN_NETWORK = 'network.onnx';

/** Names of descriptions, the preferred one first. */
export const DESCRIPTION_FILES = ['bioimageio.yaml', 'rdf.yaml', 'model.yaml'];

const MAX_DESCRIPTION_BYTES = 2 ** 20;
/** A description repeats no more than a few values by reference; more is an attack on whoever expands them. */
const MAX_ALIASES = 100;

/**
 * Parses a description of format version 0.4 or 0.5.
 * @param name of the file, for errors
 * @throws PackageError for what is none; UnsupportedPackageError for other versions, several tensors, and more than two
 *   dimensions
 */
export function parseDescription(bytes: Buffer, name: string): PackageDescription {
  if (bytes.length > MAX_DESCRIPTION_BYTES) throw new PackageError(`${name} has more than 1 MiB`);
  const json = parseYaml(bytes.toString('utf8'), name);
  const head = parseBy(descriptionHead, json, name);
  if (head.type !== undefined && head.type !== 'model') {
    throw new UnsupportedPackageError(`${name} describes a resource of type ${head.type}, not a model`);
  }
  const { format_version: formatVersion } = head;
  if (/^0\.5(\.|$)/.test(formatVersion)) return from05(parseBy(description05, json, name), formatVersion);
  if (/^0\.4(\.|$)/.test(formatVersion)) return from04(parseBy(description04, json, name), formatVersion);
  throw new UnsupportedPackageError(`${name} has format version ${formatVersion}; 0.4 and 0.5 are supported`);
}

function parseYaml(text: string, name: string): unknown {
  try {
    const document = parseDocument(text, { schema: 'core', logLevel: 'silent' });
    const [error] = document.errors;
    if (error) throw error;
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (cause) {
    const [line] = (cause as Error).message.split('\n');
    throw new PackageError(`${name} is not YAML: ${line}`, { cause });
  }
}

type Common = Pick<z.output<typeof description05>, 'name' | 'description' | 'cite' | 'license' | 'weights'>;

/** What both versions state alike. */
function commonOf({ name, description, cite, license, weights }: Common, formatVersion: string) {
  const cited = (cite ?? []).map(({ text, doi, url }) => [text, doi ?? url].filter(Boolean).join(' '));
  const entries = Object.entries(weights).flatMap(([format, entry]) =>
    entry === null ? [] : [[format, { source: entry.source, sha256: entry.sha256 ?? null }] as const],
  );
  return {
    formatVersion,
    name,
    description: description ?? '',
    license: typeof license === 'string' ? license : null,
    citation: cited.length === 0 ? null : cited.join('; '),
    weights: new Map(entries),
  };
}

function only<Tensor>(
  tensors: readonly Tensor[],
  what: string,
  idOf: (tensor: Tensor) => string | undefined,
): Tensor {
  if (tensors.length === 1) return tensors[0]!;
  throw new UnsupportedPackageError(
    `it has ${tensors.length} ${what} (${tensors.map(idOf).join(', ')}); only models of one image and one output are supported`,
  );
}

const refuseAxis = (id: string): never => {
  throw new UnsupportedPackageError(
    `its tensor has an axis ${id}: only images of rows, columns and channels are supported, no volumes`,
  );
};

type Tensor05 = z.output<typeof description05>['inputs'][number];
/** The units of pixel sizes, in micrometres. */
const MICROMETERS: Readonly<Record<string, number>> = {
  angstrom: 1e-4,
  nanometer: 1e-3,
  micrometer: 1,
  millimeter: 1e3,
};
const AXES: Readonly<Record<string, AxisName>> = { batch: 'b', channel: 'c', y: 'y', x: 'x' };

function from05(json: z.output<typeof description05>, formatVersion: string): PackageDescription {
  return {
    ...commonOf(json, formatVersion),
    input: tensor05(
      only(json.inputs, 'inputs', ({ id }) => id),
      'input',
    ),
    output: tensor05(
      only(json.outputs, 'outputs', ({ id }) => id),
      'output',
    ),
    own: ownFilesOf(json),
  };
}

function ownFilesOf({
  config,
  attachments,
}: Pick<z.output<typeof description05>, 'config' | 'attachments'>): OwnFiles | null {
  const file = (name: string) => attachments?.find(({ source }) => source === name);
  const [card, network] = [file(OWN_CARD), file(OWN_NETWORK)];
  if (!config?.unseam || !card || !network) return null;
  return { storedType: config.unseam.stored_type, card, network };
}

function tensor05(
  { id, axes, data, test_tensor, ...rest }: Tensor05,
  kind: 'input' | 'output',
): TensorDescription {
  const names = axes.map(({ type, id: own }) => {
    const key = type === 'space' ? (own ?? 'x') : type;
    return AXES[key] ?? refuseAxis(own ?? type);
  });
  const at = (name: AxisName) => axes[names.indexOf(name)];
  const channelNames = at('c')?.channel_names;
  const list = Array.isArray(channelNames) ? channelNames : null;
  const [first] = [data].flat();
  const halos = [at('y')?.halo, at('x')?.halo];
  const { unit, scale } = at('x') ?? {};
  const micrometers = MICROMETERS[unit ?? ''];
  return {
    id: id ?? kind,
    axes: names,
    channels: at('c') === undefined ? 1 : (list?.length ?? null),
    channelNames: list,
    halo: halos.some((halo) => halo != null) ? { y: halos[0] ?? 0, x: halos[1] ?? 0 } : null,
    range: rangeOf(first?.range),
    steps: (kind === 'input' ? rest.preprocessing : rest.postprocessing) ?? [],
    test: test_tensor ?? null,
    microns: micrometers !== undefined && scale != null && scale > 0 ? scale * micrometers : null,
  };
}

function rangeOf(range: readonly unknown[] | null | undefined): readonly [number, number] | null {
  const [low, high] = range ?? [];
  return typeof low === 'number' && typeof high === 'number' && Number.isFinite(low) && Number.isFinite(high)
    ? [low, high]
    : null;
}

type Tensor04 = z.output<typeof description04>['inputs'][number];
const LETTERS = 'bcyx';

function from04(json: z.output<typeof description04>, formatVersion: string): PackageDescription {
  const [input, output] = [
    only(json.inputs, 'inputs', ({ name }) => name),
    only(json.outputs, 'outputs', ({ name }) => name),
  ];
  return {
    ...commonOf(json, formatVersion),
    input: tensor04(input, input.preprocessing ?? [], json.test_inputs?.[0] ?? null),
    output: tensor04(output, output.postprocessing ?? [], json.test_outputs?.[0] ?? null),
    own: null,
  };
}

function tensor04(
  { name, axes, shape, halo, data_range }: Tensor04,
  steps: readonly ProcessingStep[],
  test: FileReference | null,
): TensorDescription {
  const letters = typeof axes === 'string' ? [...axes] : axes.map((axis) => AXES[axis] ?? axis);
  const names = letters.map((letter) =>
    LETTERS.includes(letter) ? (letter as AxisName) : refuseAxis(letter),
  );
  const along = (list: readonly number[], axis: AxisName) => list[names.indexOf(axis)] ?? null;
  const isFixed = Array.isArray(shape);
  const lengths = isFixed ? shape : 'min' in shape ? shape.min : [];
  const channels = along(lengths, 'c');
  const offset = !isFixed && 'offset' in shape ? 2 * (along(shape.offset, 'c') ?? 0) : 0;
  return {
    id: name,
    axes: names,
    channels: names.includes('c') ? (channels ?? (offset > 0 ? offset : null)) : 1,
    channelNames: null,
    halo: halo ? { y: along(halo, 'y') ?? 0, x: along(halo, 'x') ?? 0 } : null,
    range: rangeOf(data_range),
    steps,
    test,
    microns: null,
  };
}
