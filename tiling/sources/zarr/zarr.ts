import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as zarr from 'zarrita';
import { CorruptImageError, TilingError } from '../../errors.js';
import type { Rect } from '../../geometry.js';
import { firstOf, type Plane } from '../../planes.js';
import { type PixelArray, pixelArray, type Raster } from '../../raster.js';
import type { ImageFacts, ImageSource, PixelReader } from '../../source.js';
import { chooseChannels } from '../channels.js';
import { checkChannels, checkPlace, stackNotes } from '../choice.js';
import { ChunkCache } from '../chunk-cache.js';
import { checkPixels, type OpenOptions } from '../options.js';
import { boundCodecs } from './codecs.js';
import { imageOf, valuesOf, type ZarrLevel, type ZarrValues } from './metadata.js';
import { refuseSeriesOfGlass } from './series.js';
import { FolderStore, WebStore, type ZarrStore } from './store.js';

const RGB = ['FF0000', '00FF00', '0000FF'];
/** What is fetched concurrently: chunks, and bytes of all of them. At least one chunk. */
const CONCURRENT = { chunks: 8, bytes: 64 << 20 } as const;

boundCodecs();

/** Whether a folder is a Zarr group. */
export async function isZarr(folder: string): Promise<boolean> {
  for (const name of ['zarr.json', '.zgroup', '.zattrs'])
    if (await stat(join(folder, name)).catch(() => null)) return true;
  return false;
}

/** Opens an OME-Zarr in a folder. Nothing outside it is read, but for the names of a slide's series. */
export async function openZarrFolder(folder: string, options: OpenOptions): Promise<ImageSource> {
  await refuseSeriesOfGlass(folder);
  return openZarr(new FolderStore(folder), options);
}

/** Opens an OME-Zarr on a web server. Nothing outside its address is read, and no redirect is followed. */
export function openZarrUrl(address: string, options: OpenOptions): Promise<ImageSource> {
  return openZarr(new WebStore(address), options);
}

type Chunk = zarr.Chunk<zarr.NumberDataType>;

/**
 * Opens the first image of an OME-Zarr (next-generation file format, versions 0.4 and 0.5): a pyramid of arrays
 * whose axes are t, c, z, y, x, or some of these.
 *
 * @throws UnsupportedImageError for a group without such an image, and for a slide's label or macro image
 */
async function openZarr(store: ZarrStore, options: OpenOptions): Promise<ImageSource> {
  const { signal } = options;
  const open = { ...(signal && { signal }) };
  const group = await zarr.open(store, { ...open, kind: 'group' }).catch(fail);
  const image = imageOf(group.attrs);
  const levels: { readonly array: ZarrLevel; readonly values: ZarrValues }[] = [];
  for (const path of image.paths) {
    const array = await openLevel(group, path, open).catch(fail);
    levels.push({ array, values: valuesOf(array, image.axes) });
  }
  store.maxChunkBytes = Math.max(...levels.map(({ values }) => values.storedBytes));
  const [base] = levels as [(typeof levels)[0]];
  const { dtype } = base.values;
  const axis = (name: string): number => image.axes.indexOf(name);
  const length = (name: string): number => (axis(name) < 0 ? 1 : base.array.shape[axis(name)]!);
  // A level that is not a smaller version of the first, such as one with fewer planes, ends the pyramid.
  const isSmallerVersion = ({ array, values }: (typeof levels)[0]): boolean =>
    values.dtype === dtype &&
    array.shape.every((side, i) => {
      const full = base.array.shape[i]!;
      return i === axis('x') || i === axis('y') ? side <= full : side === full;
    });
  const odd = levels.findIndex((level) => !isSmallerVersion(level));
  checkPlace(options, { sizeZ: length('z'), sizeT: length('t') });
  checkChannels(length('c'));
  const all = Array.from({ length: length('c') }, (_, i) => i);
  const labels = all.map((i) => image.channels[i]?.label ?? `channel ${i}`);
  const chosen = chooseChannels(options, labels, all.length);
  const channels = chosen ?? all;
  const rgb =
    all.length === 3 &&
    RGB.every((colour, i) => image.channels[i]?.color?.toUpperCase() === colour) &&
    dtype === 'uint8';

  const cache = new ChunkCache<Chunk>(); // of all planes: those of a chunk are decoded together
  const readerOf = ({ z, t }: Plane, { array, values }: (typeof levels)[0], index: number): PixelReader => ({
    size: { width: array.shape[axis('x')]!, height: array.shape[axis('y')]! },
    async readRegion(rect, regionSignal) {
      const cancelled = regionSignal ?? signal;
      // Reads share chunks: only the source's own signal, not that of one read, cancels their loading.
      const chunkOf = (at: readonly number[]) =>
        cache.get(`${index}/${at.join()}`, values.chunkBytes, () => readChunk(array, values, at, signal));
      const data = pixelArray(dtype, rect.width * rect.height * channels.length);
      const into = { data, rect, channels: channels.length };
      const reads: (() => Promise<void>)[] = [];
      for (const [to, c] of channels.entries()) {
        reads.push(...planeReads(array, image.axes, { z, t, c }, into, to, chunkOf));
      }
      cache.makeRoom(reads.length * values.chunkBytes, rect.width, array.shape[axis('x')]!);
      const affordable = Math.floor(CONCURRENT.bytes / values.chunkBytes);
      const concurrent = Math.max(1, Math.min(CONCURRENT.chunks, affordable));
      for (let i = 0; i < reads.length; i += concurrent) {
        cancelled?.throwIfAborted();
        await Promise.all(reads.slice(i, i + concurrent).map((read) => read()));
      }
      return { data, width: rect.width, height: rect.height, channels: channels.length } satisfies Raster;
    },
  });
  const size = { sizeZ: length('z'), sizeT: length('t') };
  const stack = size.sizeZ * size.sizeT > 1 ? { ...size, zMicrons: image.zMicrons } : undefined;
  const pyramid = odd < 0 ? levels : levels.slice(0, odd);
  const sourceOf = (plane: Plane): ImageSource => {
    const [base, ...overviews] = pyramid.map((level, i) => readerOf(plane, level, i));
    return { ...base!, facts, overviews, close: async () => undefined };
  };
  const facts: ImageFacts = {
    channels: channels.length,
    dtype,
    storedType: base.array.dtype,
    channelNames: channels.length > 1 && !rgb ? channels.map((c) => labels[c]!) : null,
    channelIndexes: chosen,
    mpp: image.mpp,
    notes: stackNotes(options, size.sizeZ, size.sizeT),
    stack,
  };
  const first = sourceOf({ z: firstOf(options.z), t: firstOf(options.t) });
  checkPixels(first.size, options);
  return { ...first, openPlane: stack && (async (plane) => sourceOf(plane)) };
}

/** Opens a level; rejects instead of throwing for a path that zarrita cannot resolve. */
async function openLevel(
  group: zarr.Group<ZarrStore>,
  path: string,
  options: { readonly signal?: AbortSignal },
) {
  return zarr.open(group.resolve(path), { ...options, kind: 'array' });
}

/** Reads a chunk, and checks that it holds as many values as its shape says. */
async function readChunk(
  array: ZarrLevel,
  { chunkValues }: ZarrValues,
  at: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Chunk> {
  const chunk = (await array.getChunk([...at], signal && { signal }).catch((error: unknown) => {
    signal?.throwIfAborted();
    return fail(error);
  })) as Chunk;
  const last = chunk.shape.reduce((sum, side, i) => sum + (side - 1) * chunk.stride[i]!, 0);
  if (chunk.data.length !== chunkValues || last !== chunkValues - 1) {
    throw new CorruptImageError(
      `chunk ${at.join(', ')} of the Zarr holds ${chunk.data.length} values, not ${chunkValues}`,
    );
  }
  return chunk;
}

/** The reads that copy one plane of a region, one per chunk. */
function* planeReads(
  { shape, chunks }: ZarrLevel,
  axes: readonly string[],
  at: { readonly z: number; readonly t: number; readonly c: number },
  into: { readonly data: PixelArray; readonly rect: Rect; readonly channels: number },
  channel: number,
  chunkOf: (at: readonly number[]) => Promise<Chunk>,
): Generator<() => Promise<void>> {
  const [xAxis, yAxis] = [axes.indexOf('x'), axes.indexOf('y')];
  const place = axes.map((name) => (name === 'c' || name === 'z' || name === 't' ? at[name] : 0));
  const { rect } = into;
  const [w, h] = [chunks[xAxis]!, chunks[yAxis]!];
  for (let row = Math.floor(rect.y / h); row * h < rect.y + rect.height; row++) {
    for (let column = Math.floor(rect.x / w); column * w < rect.x + rect.width; column++) {
      yield async () => {
        const index = place.map((value, i) =>
          i === xAxis ? column : i === yAxis ? row : Math.floor(value / chunks[i]!),
        );
        const chunk = await chunkOf(index);
        // Where the plane starts in the chunk, by the axes that are fixed.
        const start = place.reduce(
          (sum, value, i) =>
            i === xAxis || i === yAxis ? sum : sum + (value % chunks[i]!) * chunk.stride[i]!,
          0,
        );
        const [xStride, yStride] = [chunk.stride[xAxis]!, chunk.stride[yAxis]!];
        const [left, right] = [
          Math.max(rect.x, column * w),
          Math.min(rect.x + rect.width, (column + 1) * w, shape[xAxis]!),
        ];
        const [top, bottom] = [
          Math.max(rect.y, row * h),
          Math.min(rect.y + rect.height, (row + 1) * h, shape[yAxis]!),
        ];
        for (let y = top; y < bottom; y++) {
          let from = start + (y - row * h) * yStride + (left - column * w) * xStride;
          let to = ((y - rect.y) * rect.width + left - rect.x) * into.channels + channel;
          for (let x = left; x < right; x++, from += xStride, to += into.channels) {
            into.data[to] = chunk.data[from]!;
          }
        }
      };
    }
  }
}

/** Unwraps errors of the store and of codecs from zarrita's own, which contain names from the file. */
function fail(error: unknown): never {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof TilingError || cause.name === 'AbortError') throw cause;
  }
  const message = error instanceof Error ? error.message : 'a codec failed';
  throw new CorruptImageError(`the Zarr cannot be read: ${message.slice(0, 200)}`, { cause: error });
}
