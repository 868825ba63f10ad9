import type * as zarr from 'zarrita';
import { z } from 'zod';
import { CorruptImageError, UnsupportedImageError } from '../../errors.js';
import type { Dtype } from '../../raster.js';
import type { PixelSize } from '../../source.js';
import { MAX_CHANNELS } from '../choice.js';
import { refuseNameOfGlass } from './series.js';

/** The largest decoded chunk, which is in memory as a whole. */
const MAX_CHUNK_BYTES = 256 << 20;
const MAX_LEVELS = 64;
/** What a codec may add to values that it cannot compress. */
const STORED_SLACK_BYTES = 64 << 10;

/** The metadata of OME-Zarr 0.4 and 0.5 that are read. */
const axis = z.union([z.string(), z.object({ name: z.string(), unit: z.string().optional() })]);
const multiscale = z.object({
  name: z.unknown().optional(),
  axes: z.array(axis).max(16).optional(),
  datasets: z
    .array(
      z.object({
        path: z.string().max(512),
        coordinateTransformations: z
          .array(z.looseObject({ type: z.string(), scale: z.array(z.number()).max(16).optional() }))
          .optional(),
      }),
    )
    .min(1),
});
/** An extension point of Zarr 3, which all have this form. */
const extension = (configuration: z.ZodType) =>
  z.strictObject({
    name: z.string(),
    configuration: configuration.optional(),
    must_understand: z.boolean().optional(),
  });
const codec: z.ZodType = z.lazy(() =>
  z.union([
    z.string(),
    extension(z.looseObject({ codecs: codec.array().optional(), index_codecs: codec.array().optional() })),
  ]),
);
const keyEncoding = extension(z.strictObject({ separator: z.enum(['/', '.']).optional() }));
/** In Zarr 3, a reader must fail at unknown fields, unless they say that they need not be understood. */
const unknownFields = z.looseObject({ must_understand: z.literal(false) });
const anything = z.unknown().optional();
const v3 = { zarr_format: z.literal(3), attributes: anything, consolidated_metadata: anything };
const v2 = z.looseObject({ zarr_format: z.literal(2) });
/** Zarr's documents, as far as zarrita does not validate them. */
const DOCUMENTS = new Map<string, z.ZodType>([
  ['.zgroup', v2],
  ['.zarray', v2],
  [
    'zarr.json',
    z.discriminatedUnion('node_type', [
      z.object({ ...v3, node_type: z.literal('group') }).catchall(unknownFields),
      z
        .object({
          ...v3,
          node_type: z.literal('array'),
          shape: z.unknown(),
          data_type: z.unknown(),
          chunk_grid: z.unknown(),
          chunk_key_encoding: keyEncoding,
          fill_value: z.unknown(),
          codecs: codec.array(),
          dimension_names: anything,
          storage_transformers: anything,
        })
        .catchall(unknownFields),
    ]),
  ],
]);

/**
 * Checks a document of a Zarr, such as `.zarray`, before zarrita parses it; does nothing for other objects.
 * @throws CorruptImageError
 */
export function checkDocument(name: string, bytes: Uint8Array): void {
  const schema = DOCUMENTS.get(name);
  if (schema === undefined) return;
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes).toString());
  } catch (cause) {
    throw new CorruptImageError(`the OME-Zarr's metadata is damaged: its ${name} is not JSON`, { cause });
  }
  parseMetadata(schema, document);
}

const image = z.object({
  multiscales: z.array(z.unknown()).optional(),
  omero: z
    .object({
      channels: z
        .array(
          z.object({
            label: z.string().optional().catch(undefined),
            color: z.string().optional().catch(undefined),
          }),
        )
        .max(MAX_CHANNELS),
    })
    .optional()
    .catch(undefined),
});

/** The first image of an OME-Zarr, by its metadata. */
export interface ZarrImage {
  /** Of its levels, the largest first. */
  readonly paths: readonly string[];
  readonly axes: readonly string[];
  readonly mpp: PixelSize | null;
  /** The distance of neighbouring planes in depth, in micrometres. */
  readonly zMicrons: number | undefined;
  readonly channels: readonly { readonly label?: string | undefined; readonly color?: string | undefined }[];
}

const MICRONS = new Map([
  ['micrometer', 1],
  ['nanometer', 1e-3],
  ['millimeter', 1e3],
  ['centimeter', 1e4],
  ['meter', 1e6],
]);

/**
 * Parses the attributes of a group.
 * @throws UnsupportedImageError for a group without an image, and for a slide's label or macro image
 * @throws CorruptImageError for metadata that do not follow the specification
 */
export function imageOf(attributes: unknown): ZarrImage {
  const all = parseMetadata(z.looseObject({ ome: z.unknown().optional() }), attributes ?? {});
  const { multiscales, omero } = parseMetadata(image, all.ome ?? all);
  if (!multiscales || multiscales.length === 0)
    throw new UnsupportedImageError('this Zarr is not an OME-Zarr image: it has no "multiscales"');
  const { name, axes = ['t', 'c', 'z', 'y', 'x'], datasets } = parseMetadata(multiscale, multiscales[0]);
  refuseNameOfGlass(name);
  if (datasets.length > MAX_LEVELS) {
    throw new CorruptImageError(
      `the OME-Zarr claims ${datasets.length} levels; at most ${MAX_LEVELS} are supported`,
    );
  }
  for (const { path } of datasets) {
    // Paths are relative to the group: URLs and absolute paths would refer to something outside.
    if (/^(\/|[a-z][a-z0-9+.-]*:)|(^|\/)\.\.(\/|$)/i.test(path)) {
      throw new CorruptImageError(
        `the OME-Zarr refers to something outside: ${JSON.stringify(path.slice(0, 80))}`,
      );
    }
  }
  const names = axes.map((a) => (typeof a === 'string' ? a : a.name));
  if (!names.includes('y') || !names.includes('x') || new Set(names).size < names.length) {
    throw new UnsupportedImageError(
      `the axes of this OME-Zarr, ${names.join(', ').slice(0, 80)}, are not supported`,
    );
  }
  const scale = datasets[0]!.coordinateTransformations?.find(({ type }) => type === 'scale')?.scale;
  const side = (name: string): number => {
    const at = axes[names.indexOf(name)];
    const micron = typeof at === 'object' ? MICRONS.get(at.unit ?? '') : undefined;
    return (scale?.[names.indexOf(name)] ?? Number.NaN) * (micron ?? Number.NaN);
  };
  return {
    paths: datasets.map(({ path }) => path),
    axes: names,
    zMicrons: side('z') > 0 ? side('z') : undefined,
    mpp: side('x') > 0 && side('y') > 0 ? { x: side('x'), y: side('y') } : null,
    channels: omero?.channels ?? [],
  };
}

function parseMetadata<Shape extends z.ZodType>(shape: Shape, value: unknown): z.output<Shape> {
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new CorruptImageError(
    `the OME-Zarr's metadata is damaged: ${issue!.path.join('.')}: ${issue!.message}`,
  );
}

export type ZarrLevel = zarr.Array<zarr.DataType, zarr.Readable>;

const DTYPES = new Map<string, { readonly dtype: Dtype; readonly bytes: number }>([
  ['uint8', { dtype: 'uint8', bytes: 1 }],
  ['uint16', { dtype: 'uint16', bytes: 2 }],
  ['int8', { dtype: 'float32', bytes: 1 }],
  ['int16', { dtype: 'float32', bytes: 2 }],
  ['int32', { dtype: 'float32', bytes: 4 }],
  ['uint32', { dtype: 'float32', bytes: 4 }],
  ['float32', { dtype: 'float32', bytes: 4 }],
  ['float64', { dtype: 'float32', bytes: 8 }],
]);

/** The type of an array's values as they are read, and the size of its chunks. */
export interface ZarrValues {
  readonly dtype: Dtype;
  readonly chunkValues: number;
  readonly chunkBytes: number;
  /** Limit for a chunk as it is stored. */
  readonly storedBytes: number;
}

/**
 * Checks an array's shape, type and chunks, which zarrita does not validate.
 * @throws CorruptImageError, UnsupportedImageError
 */
export function valuesOf(
  { shape, chunks, dtype, fillValue }: ZarrLevel,
  axes: readonly string[],
): ZarrValues {
  const sides = z.array(z.int().min(1)).length(axes.length);
  if (!sides.safeParse(shape).success) {
    throw new CorruptImageError(
      `the OME-Zarr has an array of shape ${JSON.stringify(shape)?.slice(0, 80)} for the axes ${axes.join(', ')}`,
    );
  }
  if (!sides.safeParse(chunks).success) {
    throw new CorruptImageError(
      `the OME-Zarr has chunks of ${JSON.stringify(chunks)?.slice(0, 80)} for the axes ${axes.join(', ')}`,
    );
  }
  const type = DTYPES.get(dtype);
  if (!type)
    throw new UnsupportedImageError(`Zarrs of ${String(dtype).slice(0, 40)} values are not supported`);
  if (fillValue !== null && !isOfType(fillValue, dtype)) {
    throw new CorruptImageError(
      `the OME-Zarr fills with ${JSON.stringify(fillValue)?.slice(0, 40)}, which is not ${dtype}`,
    );
  }
  const chunkValues = chunks.reduce((product, side) => product * side, 1);
  const chunkBytes = chunkValues * type.bytes;
  if (chunkBytes > MAX_CHUNK_BYTES) {
    throw new UnsupportedImageError(
      `the OME-Zarr has chunks of ${chunks.join('×')} ${dtype}, ${chunkBytes} bytes each; at most ${MAX_CHUNK_BYTES} are supported`,
    );
  }
  return {
    dtype: type.dtype,
    chunkValues,
    chunkBytes,
    storedBytes: Math.ceil(chunkBytes * 1.25) + STORED_SLACK_BYTES,
  };
}

/** Whether an array of a type can contain a value. */
function isOfType(value: unknown, dtype: string): boolean {
  const [, unsigned, bits] = /^(u?)int(\d+)$/.exec(dtype) ?? [];
  if (bits === undefined) return typeof value === 'number';
  const [least, count] = [unsigned ? 0 : -(2 ** (Number(bits) - 1)), 2 ** Number(bits)];
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value < least + count;
}
