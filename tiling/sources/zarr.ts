import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FileSystemStore } from '@zarrita/storage';
import * as zarr from 'zarrita';
import { CorruptImageError, UnsupportedImageError } from '../errors.js';
import type { Rect } from '../geometry.js';
import { type Dtype, pixelArray, type Raster } from '../raster.js';
import type { ImageSource, PixelReader, PixelSize } from '../source.js';
import { checkChannel, stackNotes } from './choice.js';
import { checkPixels, type OpenOptions } from './options.js';

/** Metadata of OME-Zarr 0.4 and 0.5, as far as it is read. */
interface Multiscale {
  readonly axes?: readonly ({ readonly name: string; readonly unit?: string } | string)[];
  readonly datasets: readonly {
    readonly path: string;
    readonly coordinateTransformations?: readonly {
      readonly type: string;
      readonly scale?: readonly number[];
    }[];
  }[];
}
interface Attributes {
  readonly multiscales?: readonly Multiscale[];
  readonly omero?: { readonly channels?: readonly { readonly label?: string; readonly color?: string }[] };
  readonly ome?: Omit<Attributes, 'ome'>;
}
type Level = zarr.Array<zarr.DataType, zarr.Readable>;

const MICRONS: Record<string, number> = {
  micrometer: 1,
  nanometer: 1e-3,
  millimeter: 1e3,
  centimeter: 1e4,
  meter: 1e6,
};
const DTYPES: Record<string, Dtype> = { uint8: 'uint8', uint16: 'uint16' };
const FLOATS = ['int8', 'int16', 'int32', 'uint32', 'float32', 'float64'];
const RGB = ['FF0000', '00FF00', '0000FF'];

/** Whether a folder holds a Zarr group. */
export async function isZarr(folder: string): Promise<boolean> {
  for (const name of ['zarr.json', '.zgroup', '.zattrs'])
    if (await stat(join(folder, name)).catch(() => null)) return true;
  return false;
}

/** An OME-Zarr in a folder. */
export function openZarrFolder(folder: string, options: OpenOptions): Promise<ImageSource> {
  return openZarr(new FileSystemStore(folder), options);
}

/** An OME-Zarr on a web server; no redirect is followed. */
export function openZarrUrl(address: string, options: OpenOptions): Promise<ImageSource> {
  return openZarr(
    new zarr.FetchStore(address, { fetch: (request) => fetch(new Request(request, { redirect: 'error' })) }),
    options,
  );
}

/**
 * The first image of an OME-Zarr (next-generation file format, versions 0.4 and 0.5): a pyramid of arrays
 * whose axes are t, c, z, y, x, or some of them.
 *
 * @throws UnsupportedImageError for a group without such an image
 */
async function openZarr(store: zarr.Readable, options: OpenOptions): Promise<ImageSource> {
  const corrupt = (cause: Error): never => {
    if ('code' in cause) throw cause;
    throw new CorruptImageError(`the Zarr cannot be read: ${cause.message}`, { cause });
  };
  const group = await zarr.open(store, { kind: 'group' }).catch(corrupt);
  const attributes = group.attrs as Attributes;
  const { multiscales, omero } = attributes.ome ?? attributes;
  const [image] = multiscales ?? [];
  if (!image) throw new UnsupportedImageError('this Zarr is no OME-Zarr image: it has no "multiscales"');
  const levels: Level[] = [];
  for (const { path } of image.datasets) {
    levels.push(await zarr.open(group.resolve(path), { kind: 'array' }).catch(corrupt));
  }
  const [base] = levels as [Level];
  const names = (image.axes ?? ['t', 'c', 'z', 'y', 'x']).map((axis) =>
    typeof axis === 'string' ? axis : axis.name,
  );
  const axis = (name: string): number => names.indexOf(name);
  if (axis('y') < 0 || axis('x') < 0 || names.length !== base.shape.length) {
    throw new UnsupportedImageError(`the axes of this OME-Zarr, ${names.join(', ')}, are not read`);
  }
  const length = (name: string): number => (axis(name) < 0 ? 1 : base.shape[axis(name)]!);
  if (!(base.dtype in DTYPES) && !FLOATS.includes(base.dtype)) {
    throw new UnsupportedImageError(`Zarrs of ${base.dtype} are not read`);
  }
  const dtype = DTYPES[base.dtype] ?? 'float32';
  const { z = 0, t = 0 } = options;
  for (const [name, index] of [
    ['z', z],
    ['t', t],
  ] as const) {
    if (index >= length(name))
      throw new UnsupportedImageError(`there is no ${name} ${index}: the image has ${length(name)}, from 0`);
  }
  const all = Array.from({ length: length('c') }, (_, i) => i);
  const channels = options.channels ?? all;
  for (const c of channels) checkChannel(c, all.length);
  const labels = all.map((i) => omero?.channels?.[i]?.label ?? `channel ${i}`);
  const colours = omero?.channels?.map(({ color }) => color?.toUpperCase());
  const rgb = all.length === 3 && RGB.every((colour, i) => colours?.[i] === colour) && dtype === 'uint8';

  const reader = (level: Level): PixelReader => {
    const size = { width: level.shape[axis('x')]!, height: level.shape[axis('y')]! };
    return {
      size,
      async readRegion(rect, signal) {
        const data = pixelArray(dtype, rect.width * rect.height * channels.length);
        for (const [to, c] of channels.entries()) {
          signal?.throwIfAborted();
          await readPlane(level, names, { z, t, c }, rect, data, to, channels.length).catch(corrupt);
        }
        return { data, width: rect.width, height: rect.height, channels: channels.length } satisfies Raster;
      },
    };
  };
  const readers = levels.map(reader);
  checkPixels(readers[0]!.size, options);
  return {
    ...readers[0]!,
    channels: channels.length,
    dtype,
    channelNames: channels.length > 1 && !rgb ? channels.map((c) => labels[c]!) : null,
    mpp: pixelSize(image, names),
    notes: stackNotes(options, length('z'), length('t')),
    overviews: readers.slice(1),
    close: async () => undefined,
  };
}

async function readPlane(
  level: Level,
  names: readonly string[],
  at: { readonly z: number; readonly t: number; readonly c: number },
  rect: Rect,
  into: Raster['data'],
  channel: number,
  channels: number,
): Promise<void> {
  const selection = names.map((name) => {
    if (name === 'y') return zarr.slice(rect.y, rect.y + rect.height);
    if (name === 'x') return zarr.slice(rect.x, rect.x + rect.width);
    return name === 'c' || name === 'z' || name === 't' ? at[name] : 0;
  });
  const plane = (await zarr.get(level, selection)) as { data: ArrayLike<number>; stride: readonly number[] };
  // What is left of the axes is y and x, in the order in which they are stored.
  const [first, second] = plane.stride as [number, number];
  const [rowStride, columnStride] =
    names.indexOf('y') < names.indexOf('x') ? [first, second] : [second, first];
  for (let y = 0; y < rect.height; y++) {
    for (let x = 0; x < rect.width; x++) {
      into[(y * rect.width + x) * channels + channel] = plane.data[y * rowStride + x * columnStride]!;
    }
  }
}

function pixelSize({ axes, datasets }: Multiscale, names: readonly string[]): PixelSize | null {
  const scale = datasets[0]?.coordinateTransformations?.find(({ type }) => type === 'scale')?.scale;
  const side = (name: string): number => {
    const axis = axes?.[names.indexOf(name)];
    const micron = typeof axis === 'object' ? MICRONS[axis.unit ?? ''] : undefined;
    return (scale?.[names.indexOf(name)] ?? Number.NaN) * (micron ?? Number.NaN);
  };
  return side('x') > 0 && side('y') > 0 ? { x: side('x'), y: side('y') } : null;
}
