import type { MaskClass } from '../tiff/ome-xml.js';
import { type NgffVersion, ZARR_TYPES, type ZarrFormat, type ZarrGrid } from './format.js';

/** The documents of a group or an array, by the names of their files. */
export type Documents = Readonly<Record<string, unknown>>;

/** An axis of an image, as the metadata have it. */
export type Axis = { readonly name: string } & Readonly<Record<string, unknown>>;

/** A level of a pyramid, as the metadata have it: where it is, and what its indices are in the axes' units. */
export interface Dataset {
  readonly path: string;
  readonly coordinateTransformations: readonly unknown[];
}

/** What `multiscales` has. */
export interface Multiscale {
  readonly name: string;
  readonly axes: readonly Axis[];
  readonly datasets: readonly Dataset[];
  /** How overviews were made. */
  readonly type: string;
  /** Transformations of all levels after their own. Default none. */
  readonly common?: readonly unknown[];
}

/** The attributes of a group as each version has them: in `ome`, or by themselves. */
export function ngffAttributes(version: NgffVersion, content: Readonly<Record<string, unknown>>): Documents {
  return version === '0.5' ? { ome: { version, ...content } } : content;
}

/** A group. */
export function groupDocuments(version: NgffVersion, attributes: Documents): Documents {
  if (version === '0.4') return { '.zgroup': { zarr_format: 2 }, '.zattrs': attributes };
  return { 'zarr.json': { zarr_format: 3, node_type: 'group', attributes } };
}

/** An array of compressed chunks, in which 0 is what is not there. */
export function arrayDocuments(
  version: NgffVersion,
  {
    shape,
    axes,
    dtype,
    grid: { chunkPx, shard },
  }: {
    readonly shape: readonly number[];
    readonly axes: readonly Axis[];
    readonly dtype: ZarrFormat['dtype'];
    readonly grid: ZarrGrid;
  },
): Documents {
  const one = shape.slice(0, -2).map(() => 1);
  const chunk = [...one, chunkPx, chunkPx];
  if (version === '0.4') {
    const array = {
      zarr_format: 2,
      shape,
      chunks: chunk,
      dtype: ZARR_TYPES[dtype].v2,
      compressor: { id: 'gzip', level: 1 },
      fill_value: 0,
      order: 'C',
      filters: null,
      dimension_separator: '/',
    };
    return { '.zarray': array };
  }
  const little = { name: 'bytes', configuration: { endian: 'little' } };
  const sharding = {
    name: 'sharding_indexed',
    configuration: {
      chunk_shape: chunk,
      codecs: [
        ZARR_TYPES[dtype].bytes === 1 ? { name: 'bytes' } : little,
        { name: 'gzip', configuration: { level: 1 } },
      ],
      index_codecs: [little, { name: 'crc32c' }],
      index_location: 'end',
    },
  };
  const array = {
    zarr_format: 3,
    node_type: 'array',
    shape,
    data_type: dtype,
    chunk_grid: {
      name: 'regular',
      configuration: { chunk_shape: [...one, shard!.height, shard!.width] },
    },
    chunk_key_encoding: { name: 'default', configuration: { separator: '/' } },
    fill_value: 0,
    codecs: [sharding],
    dimension_names: axes.map(({ name }) => name),
    attributes: {},
  };
  return { 'zarr.json': array };
}

/** `multiscales` of one image. */
export function multiscales(
  version: NgffVersion,
  { name, axes, datasets, type, common = [] }: Multiscale,
): readonly unknown[] {
  const image = { ...(version === '0.4' && { version }), name, axes, datasets, type };
  return [common.length > 0 ? { ...image, coordinateTransformations: common } : image];
}

/**
 * `image-label`: names and colours of the classes, by the values that stand for them.
 * @param image the path of the image that they are labels of, from their group
 */
export function imageLabel(
  version: NgffVersion,
  classes: readonly MaskClass[],
  image: string,
): Readonly<Record<string, unknown>> {
  return {
    ...(version === '0.4' && { version }),
    ...(classes.length > 0 && {
      colors: classes.map(({ colour }, value) => ({ 'label-value': value, rgba: rgbaOf(colour) })),
      properties: classes.map(({ name }, value) => ({ 'label-value': value, name })),
    }),
    source: { image },
  };
}

/** `omero`: how an image is shown, channel by channel. */
export function omero(
  channels: readonly { readonly name: string; readonly colour: string | null; readonly end: number }[],
): Readonly<Record<string, unknown>> {
  return {
    channels: channels.map(({ name, colour, end }) => ({
      label: name,
      color: (colour ?? '#ffffff').slice(1).toUpperCase(),
      active: true,
      window: { min: 0, start: 0, end, max: end },
    })),
  };
}

/** A colour as the metadata have it; transparent where there is none. */
function rgbaOf(colour: string | null): readonly number[] {
  if (colour === null) return [0, 0, 0, 0];
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)).concat(255);
}
