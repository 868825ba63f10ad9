import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { UnsupportedOutputError } from '../../errors.js';
import type { Axis } from './documents.js';
import type { NgffVersion } from './format.js';

/** An image that labels are written beside, as far as they have to agree. */
export interface SourceImage {
  readonly version: NgffVersion;
  /** Its axes, except for that of channels. */
  readonly axes: readonly Axis[];
  /** Lengths of the axes. */
  readonly lengths: Readonly<Record<string, number>>;
  /** How many levels it has: labels have as many, by the specification. */
  readonly levels: number;
  /** Size of a px of the level that was segmented, along each of the axes. */
  readonly scale: readonly number[];
  readonly translation: readonly number[] | null;
  /** Transformations of all levels after their own, along each of the axes. */
  readonly common: readonly unknown[];
}

const transformation = z.looseObject({
  type: z.string(),
  scale: z.array(z.number()).max(16).optional(),
  translation: z.array(z.number()).max(16).optional(),
});
const multiscale = z.looseObject({
  version: z.string().optional(),
  axes: z.array(z.looseObject({ name: z.string().max(100), type: z.string().optional() })).max(16),
  datasets: z
    .array(z.looseObject({ path: z.string().max(512), coordinateTransformations: z.array(transformation) }))
    .max(64),
  coordinateTransformations: z.array(transformation).optional(),
});
const image = z.looseObject({ multiscales: z.array(multiscale).min(1) });
const group3 = z.looseObject({
  zarr_format: z.literal(3),
  attributes: z.looseObject({ ome: image.extend({ version: z.string() }) }),
  consolidated_metadata: z.unknown().optional(),
});
const array = z.looseObject({ shape: z.array(z.int().min(1)).max(16) });

/**
 * Reads what labels of a level have to agree with.
 * @throws UnsupportedOutputError for a store that labels cannot be written into as they are read
 */
export async function readSourceImage(store: string, level: number): Promise<SourceImage> {
  const root = await readDocument(join(store, 'zarr.json'));
  const version = root === null ? '0.4' : '0.5';
  const attributes = version === '0.5' ? of3(parse(group3, root)) : await of2(store);
  const { axes, datasets, coordinateTransformations: common = [] } = attributes.multiscales[0]!;
  const dataset = datasets[level];
  if (!dataset || /^\/|(^|\/)\.\.(\/|$)/.test(dataset.path)) throw refusal('its levels are outside of it');
  const document = join(store, dataset.path, version === '0.5' ? 'zarr.json' : '.zarray');
  const { shape } = parse(array, await readDocument(document));
  const transformations = dataset.coordinateTransformations;
  const scale = transformations.find(({ type }) => type === 'scale')?.scale;
  const translation = transformations.find(({ type }) => type === 'translation')?.translation ?? null;
  const vectors = [
    scale,
    translation ?? scale,
    shape,
    ...common.map((each) => each.scale ?? each.translation),
  ];
  if (
    transformations.length !== (translation ? 2 : 1) ||
    vectors.some((each) => each?.length !== axes.length)
  ) {
    throw refusal('its coordinates are not a scale, and a translation, along each axis');
  }
  const isKept = axes.map(({ name, type }) => name !== 'c' && type !== 'channel');
  const kept = <Value>(values: readonly Value[]): Value[] => values.filter((_, i) => isKept[i]);
  const names = kept(axes).map(({ name }) => name);
  if (!/^(t,)?(z,)?y,x$/.test(names.join())) {
    throw refusal(`its axes are ${axes.map(({ name }) => name).join(', ')}`);
  }
  return {
    version,
    axes: kept(axes),
    lengths: Object.fromEntries(axes.map(({ name }, i) => [name, shape[i]!])),
    levels: datasets.length,
    scale: kept(scale!),
    translation: translation && kept(translation),
    common: common.map(({ type, scale, translation }) => ({
      type,
      ...(scale && { scale: kept(scale) }),
      ...(translation && { translation: kept(translation) }),
    })),
  };
}

function of3({ attributes: { ome }, consolidated_metadata: consolidated }: z.output<typeof group3>) {
  if (ome.version !== '0.5') throw refusal(`it is OME-Zarr ${ome.version}`);
  if (consolidated) throw refusal('its metadata are consolidated, and would not list them');
  return ome;
}

async function of2(store: string): Promise<z.output<typeof image>> {
  if (await readDocument(join(store, '.zmetadata'))) {
    throw refusal('its metadata are consolidated (.zmetadata), and would not list them');
  }
  const attributes = parse(image, await readDocument(join(store, '.zattrs')));
  const { version = 'of an earlier version' } = attributes.multiscales[0]!;
  if (version !== '0.4') throw refusal(`it is OME-Zarr ${version}`);
  return attributes;
}

/**
 * Reads a document of JSON; null where there is none.
 * @throws UnsupportedOutputError for a damaged one
 */
export async function readDocument(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw error;
  });
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw refusal(`${path} is not JSON`);
  }
}

function parse<Shape extends z.ZodType>(shape: Shape, document: unknown): z.output<Shape> {
  const result = shape.safeParse(document);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  throw refusal(`its metadata are not those of OME-Zarr 0.4 or 0.5 (${path.join('.')}: ${message})`);
}

export const refusal = (reason: string): UnsupportedOutputError =>
  new UnsupportedOutputError(
    `labels cannot be written into this Zarr: ${reason}. Write them to a file or folder of their own`,
  );
