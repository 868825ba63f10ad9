import type * as zarr from 'zarrita';
import { z } from 'zod';
import { CorruptImageError, UnsupportedImageError } from '../../errors.js';
import type { Dtype } from '../../raster.js';
import type { PixelSize } from '../../source.js';
import { MAX_CHANNELS } from '../choice.js';

/** A decoded chunk is in memory whole. */
const MAX_CHUNK_BYTES = 256 << 20;
const MAX_LEVELS = 64;
/** Of what a codec may make of values that it cannot compress. */
const STORED_SLACK_BYTES = 64 << 10;

/** Metadata of OME-Zarr 0.4 and 0.5, as far as it is read. */
const axis = z.union([z.string(), z.object({ name: z.string(), unit: z.string().optional() })]);
const multiscale = z.object({
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
/** A part of Zarr 3 with settings of its own; what is written in no such form is none of it. */
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
/** Zarr 3: a reader fails at fields that it does not know, unless they say that it need not. */
const unknownFields = z.looseObject({ must_understand: z.literal(false) });
const anything = z.unknown().optional();
const v3 = { zarr_format: z.literal(3), attributes: anything, consolidated_metadata: anything };
const v2 = z.looseObject({ zarr_format: z.literal(2) });
/** The documents of a Zarr, as far as zarrita takes them as they come. */
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
 * Checks a document of a Zarr, such as `.zarray`, before zarrita reads it; other objects are none.
 * @throws CorruptImageError
 */
export function checkDocument(name: string, bytes: Uint8Array): void {
  const form = DOCUMENTS.get(name);
  if (form === undefined) return;
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes).toString());
  } catch (cause) {
    throw new CorruptImageError(`the OME-Zarr's metadata is damaged: its ${name} is no JSON`, { cause });
  }
  parsed(form, document);
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

/** What an OME-Zarr says of its first image. */
export interface ZarrImage {
  /** Where its levels are, the largest first. */
  readonly paths: readonly string[];
  readonly axes: readonly string[];
  readonly mpp: PixelSize | null;
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
 * @throws UnsupportedImageError for a group without an image
 * @throws CorruptImageError for metadata of another form
 */
export function imageOf(attributes: unknown): ZarrImage {
  const all = parsed(z.looseObject({ ome: z.unknown().optional() }), attributes ?? {});
  const { multiscales, omero } = parsed(image, all.ome ?? all);
  if (!multiscales || multiscales.length === 0)
    throw new UnsupportedImageError('this Zarr is no OME-Zarr image: it has no "multiscales"');
  const { axes = ['t', 'c', 'z', 'y', 'x'], datasets } = parsed(multiscale, multiscales[0]);
  if (datasets.length > MAX_LEVELS) {
    throw new CorruptImageError(
      `the OME-Zarr claims ${datasets.length} levels; at most ${MAX_LEVELS} are read`,
    );
  }
  for (const { path } of datasets) {
    // A path of a Zarr is relative to its group; an address, or a path from elsewhere, is none of it.
    if (/^(\/|[a-z][a-z0-9+.-]*:)|(^|\/)\.\.(\/|$)/i.test(path)) {
      throw new CorruptImageError(`the OME-Zarr leads out of itself: ${JSON.stringify(path.slice(0, 80))}`);
    }
  }
  const names = axes.map((a) => (typeof a === 'string' ? a : a.name));
  if (!names.includes('y') || !names.includes('x') || new Set(names).size < names.length) {
    throw new UnsupportedImageError(
      `the axes of this OME-Zarr, ${names.join(', ').slice(0, 80)}, are not read`,
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
    mpp: side('x') > 0 && side('y') > 0 ? { x: side('x'), y: side('y') } : null,
    channels: omero?.channels ?? [],
  };
}

function parsed<Shape extends z.ZodType>(shape: Shape, value: unknown): z.output<Shape> {
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

/** What an array's values are read as, and what a chunk of them takes. */
export interface ZarrValues {
  readonly dtype: Dtype;
  readonly chunkValues: number;
  readonly chunkBytes: number;
  /** Of a chunk as it is stored, at most. */
  readonly storedBytes: number;
}

/**
 * Checks an array's shape, type and chunks, which zarrita takes as they come.
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
  if (!type) throw new UnsupportedImageError(`Zarrs of ${String(dtype).slice(0, 40)} values are not read`);
  if (fillValue !== null && !isOfType(fillValue, dtype)) {
    throw new CorruptImageError(
      `the OME-Zarr fills with ${JSON.stringify(fillValue)?.slice(0, 40)}, which is no ${dtype}`,
    );
  }
  const chunkValues = chunks.reduce((product, side) => product * side, 1);
  const chunkBytes = chunkValues * type.bytes;
  if (chunkBytes > MAX_CHUNK_BYTES) {
    throw new UnsupportedImageError(
      `the OME-Zarr has chunks of ${chunks.join('×')} ${dtype}, ${chunkBytes} bytes each; at most ${MAX_CHUNK_BYTES} are read at a time`,
    );
  }
  return {
    dtype: type.dtype,
    chunkValues,
    chunkBytes,
    storedBytes: Math.ceil(chunkBytes * 1.25) + STORED_SLACK_BYTES,
  };
}

/** Whether an array of a type can hold a value. */
function isOfType(value: unknown, dtype: string): boolean {
  const [, unsigned, bits] = /^(u?)int(\d+)$/.exec(dtype) ?? [];
  if (bits === undefined) return typeof value === 'number';
  const [least, count] = [unsigned ? 0 : -(2 ** (Number(bits) - 1)), 2 ** Number(bits)];
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value < least + count;
}
