import { parseDocument } from 'yaml';
import type { z } from 'zod';
import { PackageError, UnsupportedPackageError } from '../../model/errors.js';
import { issueOf } from '../../model/shelf/schema-issue.js';
import { description04, description05, descriptionHead } from './description-schema.js';

/** A dimension of an image. */
export type AxisName = 'b' | 'c' | 'y' | 'x';

export interface FileReference {
  readonly source: string;
  /** In hexadecimal; null where the package does not state it. */
  readonly sha256: string | null;
}

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
  /** Rows and columns, where they are fixed. */
  readonly sides: { readonly y: number | null; readonly x: number | null };
  /** Of an output: the px that are to be cut off, as the package states it; null where it does not. */
  readonly halo: { readonly y: number; readonly x: number } | null;
  readonly dtype: string;
  /** The least and the greatest value; null where they are not stated. */
  readonly range: readonly [number, number] | null;
  readonly steps: readonly ProcessingStep[];
  readonly test: FileReference | null;
  /** Micrometres per px; null where it is not stated. */
  readonly microns: number | null;
}

/** What is used of the description of a model, whatever its form. */
export interface PackageDescription {
  readonly formatVersion: string;
  readonly name: string;
  readonly description: string;
  readonly license: string | null;
  readonly authors: readonly string[];
  readonly citation: string | null;
  readonly input: TensorDescription;
  readonly output: TensorDescription;
  /** By their format, such as `onnx`. */
  readonly weights: ReadonlyMap<
    string,
    FileReference & { readonly facts: Readonly<Record<string, unknown>> }
  >;
}

/** Names of descriptions, the preferred one first. */
export const DESCRIPTION_FILES = ['bioimageio.yaml', 'rdf.yaml', 'model.yaml'];

const MAX_DESCRIPTION_BYTES = 2 ** 20;
/** A description repeats no more than a few values by reference; more is an attack on whoever expands them. */
const MAX_ALIASES = 100;

/**
 * Parses a description of form 0.4 or 0.5.
 * @param name of the file, for errors
 * @throws PackageError for what is none; UnsupportedPackageError for other forms, several tensors, and more than two dimensions
 */
export function parseDescription(bytes: Buffer, name: string): PackageDescription {
  if (bytes.length > MAX_DESCRIPTION_BYTES) throw new PackageError(`${name} has more than 1 MiB`);
  const json = parseYaml(bytes.toString('utf8'), name);
  const head = check(descriptionHead, json, name);
  if (head.type !== undefined && head.type !== 'model') {
    throw new UnsupportedPackageError(`${name} describes a resource of type ${head.type}, no model`);
  }
  const { format_version: formatVersion } = head;
  if (/^0\.5(\.|$)/.test(formatVersion)) return from05(check(description05, json, name), formatVersion);
  if (/^0\.4(\.|$)/.test(formatVersion)) return from04(check(description04, json, name), formatVersion);
  throw new UnsupportedPackageError(`${name} is of form ${formatVersion}; forms 0.4 and 0.5 are read`);
}

function parseYaml(text: string, name: string): unknown {
  try {
    const document = parseDocument(text, { schema: 'core', logLevel: 'silent' });
    const [error] = document.errors;
    if (error) throw error;
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (cause) {
    const [line] = (cause as Error).message.split('\n');
    throw new PackageError(`${name} is no YAML: ${line}`, { cause });
  }
}

function check<Schema extends z.ZodType>(schema: Schema, json: unknown, name: string): z.output<Schema> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new PackageError(`${name}: ${issueOf(parsed.error)}`);
}

type Common = Pick<
  z.output<typeof description05>,
  'name' | 'description' | 'authors' | 'cite' | 'license' | 'weights'
>;

/** What both forms state alike. */
function commonOf({ name, description, authors, cite, license, weights }: Common, formatVersion: string) {
  const cited = (cite ?? []).map(({ text, doi, url }) => [text, doi ?? url].filter(Boolean).join(' '));
  const entries = Object.entries(weights).flatMap(([format, entry]) =>
    entry === null
      ? []
      : [[format, { source: entry.source, sha256: entry.sha256 ?? null, facts: entry }] as const],
  );
  return {
    formatVersion,
    name,
    description: description ?? '',
    license: typeof license === 'string' ? license : null,
    authors: (authors ?? []).map((author) => author.name),
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
    `it has ${tensors.length} ${what} (${tensors.map(idOf).join(', ')}); models of one image, and one output, are read`,
  );
}

const refuseAxis = (id: string): never => {
  throw new UnsupportedPackageError(
    `its tensor has an axis ${id}: images of rows, columns and channels are read, no volumes`,
  );
};

type Tensor05 = z.output<typeof description05>['inputs'][number];
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
  };
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
  const fixed = (name: 'y' | 'x') => {
    const size = at(name)?.size;
    return typeof size === 'number' ? size : null;
  };
  const channelNames = at('c')?.channel_names;
  const list = Array.isArray(channelNames) ? channelNames : null;
  const [first] = [data].flat();
  const halos = [at('y')?.halo, at('x')?.halo];
  const { unit, scale } = at('x') ?? {};
  return {
    id: id ?? kind,
    axes: names,
    channels: at('c') === undefined ? 1 : (list?.length ?? null),
    channelNames: list,
    sides: { y: fixed('y'), x: fixed('x') },
    halo: halos.some((halo) => halo != null) ? { y: halos[0] ?? 0, x: halos[1] ?? 0 } : null,
    dtype: first?.type ?? 'float32',
    range: rangeOf(first?.range),
    steps: (kind === 'input' ? rest.preprocessing : rest.postprocessing) ?? [],
    test: test_tensor ?? null,
    microns: unit === 'micrometer' && scale != null && scale > 0 ? scale : null,
  };
}

function rangeOf(
  range: readonly (number | string | null)[] | null | undefined,
): readonly [number, number] | null {
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
  };
}

function tensor04(
  { name, axes, shape, halo, data_type, data_range }: Tensor04,
  steps: readonly ProcessingStep[],
  test: FileReference | null,
): TensorDescription {
  const letters = typeof axes === 'string' ? [...axes] : axes.map((axis) => AXES[axis] ?? axis);
  const names = letters.map((letter) =>
    LETTERS.includes(letter) ? (letter as AxisName) : refuseAxis(letter),
  );
  const along = (list: readonly number[], axis: AxisName) => list[names.indexOf(axis)] ?? null;
  const isFixed = Array.isArray(shape);
  const fixed = (axis: AxisName) => (isFixed ? along(shape, axis) : null);
  const channels = !isFixed && 'min' in shape ? along(shape.min, 'c') : fixed('c');
  const offset = !isFixed && 'offset' in shape ? 2 * (along(shape.offset, 'c') ?? 0) : 0;
  return {
    id: name,
    axes: names,
    channels: names.includes('c') ? (channels ?? (offset > 0 ? offset : null)) : 1,
    channelNames: null,
    sides: { y: fixed('y'), x: fixed('x') },
    halo: halo ? { y: along(halo, 'y') ?? 0, x: along(halo, 'x') ?? 0 } : null,
    dtype: data_type ?? 'float32',
    range: rangeOf(data_range),
    steps,
    test,
    microns: null,
  };
}
