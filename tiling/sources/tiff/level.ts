import { UnsupportedImageError } from '../../errors.js';
import { columns, type Interval, type Rect, rows, type Size } from '../../geometry.js';
import { bytesOf, type Dtype, type PixelArray, pixelArray, type Raster } from '../../raster.js';
import type { PixelReader } from '../../source.js';
import type { Bytes } from '../bytes.js';
import { checkChannel } from '../choice.js';
import type { ChunkCache } from '../chunk-cache.js';
import { readChunk } from './chunk.js';
import type { Layout } from './layout.js';
import { chunkSamples } from './values.js';

export interface LevelOptions {
  readonly bytes: Bytes;
  /** Shared by the levels of an image. */
  readonly cache: ChunkCache<PixelArray>;
  /** Of the plane and level that this is: chunks of different ones have different keys in the cache. */
  readonly name: string;
  /** Which channels are read, in this order. Default all. */
  readonly channels: readonly number[] | undefined;
  /** Whether values are returned as stored: palettes not applied, narrow and inverted values as they are. */
  readonly isRaw: boolean;
}

/** Which sample of a stored pixel becomes which channel of a read one. */
type SampleToChannel = readonly [sample: number, channel: number];

/** What is read of a page: all samples of its pixels, or those of one plane where it stores planes. */
interface StoredPlane {
  readonly page: number;
  readonly plane: number;
  readonly pairs: readonly SampleToChannel[];
}

/** One level of a slide: one page, or a page for each channel. */
export class TiffLevel implements PixelReader {
  readonly size: Size;
  readonly channels: number;
  readonly dtype: Dtype;
  readonly storedType: string;
  readonly #planes: readonly StoredPlane[];

  constructor(
    private readonly pages: readonly Layout[],
    private readonly options: LevelOptions,
  ) {
    const [first] = pages as [Layout];
    this.size = first.size;
    this.dtype = first.dtype;
    this.storedType = first.dtype === 'float32' ? `${first.format}${first.bits}` : first.dtype;
    for (const { size, dtype } of pages) {
      if (size.width !== first.size.width || size.height !== first.size.height || dtype !== first.dtype) {
        throw new UnsupportedImageError('TIFFs whose channels differ in size or type are not supported');
      }
    }
    const all = pages.flatMap(({ channels }, page) =>
      Array.from({ length: channels }, (_, sample) => ({ page, sample })),
    );
    const places = (options.channels ?? all.map((_, i) => i)).map((i, channel) => {
      checkChannel(i, all.length);
      return { ...all[i]!, channel };
    });
    this.channels = places.length;
    this.#planes = pages.flatMap(({ isPlanar, palette }, page): StoredPlane[] => {
      const own = places.filter((place) => place.page === page);
      if (isPlanar && !palette) {
        return own.map(({ sample, channel }) => ({ page, plane: sample, pairs: [[0, channel]] }));
      }
      const pairs = own.map(({ sample, channel }) => [sample, channel] as const);
      return own.length > 0 ? [{ page, plane: 0, pairs }] : [];
    });
  }

  get notes(): readonly string[] {
    return this.pages[0]!.notes;
  }

  async readRegion(rect: Rect, signal?: AbortSignal): Promise<Raster> {
    const { channels } = this;
    const data = pixelArray(this.dtype, rect.width * rect.height * channels);
    const { cache } = this.options;
    const bytes = this.#planes.reduce((sum, { page }) => sum + this.#touched(page, rect).bytes, 0);
    cache.makeRoom(bytes, rect.width, this.size.width);
    const reads = this.#planes.flatMap((plane) => [...this.#readPlane(plane, rect, data, signal)]);
    await Promise.all(reads);
    return { data, width: rect.width, height: rect.height, channels };
  }

  /** Copies samples of one plane to channels of a region, chunk by chunk. */
  *#readPlane(
    { page, plane, pairs }: StoredPlane,
    rect: Rect,
    into: PixelArray,
    signal: AbortSignal | undefined,
  ): Generator<Promise<void>> {
    const { bytes, cache, name, isRaw } = this.options;
    const layout = this.pages[page]!;
    const { chunk, across, down } = layout;
    const { vertical, horizontal, stride, chunkBytes } = this.#touched(page, rect);
    for (let row = vertical.start; row < vertical.stop; row++) {
      for (let column = horizontal.start; column < horizontal.stop; column++) {
        signal?.throwIfAborted();
        const index = (plane * down + row) * across + column;
        const decoded = cache.get(`${name}/${page}/${index}`, chunkBytes, () =>
          readChunk(bytes, layout, index, isRaw),
        );
        const at = { x: column * chunk.width, y: row * chunk.height, ...chunk };
        yield decoded.then((values) =>
          copyChunk({ values, stride, rect: at }, pairs, { values: into, stride: this.channels, rect }),
        );
      }
    }
  }

  /** The chunks of a page's plane that a region touches, by rows and columns, and their bytes when decoded. */
  #touched(page: number, rect: Rect) {
    const layout = this.pages[page]!;
    const { chunk, dtype, palette } = layout;
    const stride = palette ? 3 : chunkSamples(layout);
    const chunkBytes = chunk.width * chunk.height * stride * bytesOf(dtype);
    const vertical = touched(rows(rect), chunk.height);
    const horizontal = touched(columns(rect), chunk.width);
    const count = (vertical.stop - vertical.start) * (horizontal.stop - horizontal.start);
    return { vertical, horizontal, stride, chunkBytes, bytes: count * chunkBytes };
  }
}

/** Interleaved values of a rectangle, in px of the level. */
interface Pixels {
  readonly values: PixelArray;
  /** Values per pixel. */
  readonly stride: number;
  readonly rect: Rect;
}

/** Copies the part of a chunk that lies in a region. */
function copyChunk(chunk: Pixels, pairs: readonly SampleToChannel[], into: Pixels): void {
  const [at, rect] = [chunk.rect, into.rect];
  const [left, right] = [Math.max(rect.x, at.x), Math.min(rect.x + rect.width, at.x + at.width)];
  const [top, bottom] = [Math.max(rect.y, at.y), Math.min(rect.y + rect.height, at.y + at.height)];
  const isIdentity =
    chunk.stride === into.stride &&
    pairs.length === into.stride &&
    pairs.every(([sample, channel]) => sample === channel);
  for (let y = top; y < bottom; y++) {
    const from = ((y - at.y) * at.width + left - at.x) * chunk.stride;
    const to = ((y - rect.y) * rect.width + left - rect.x) * into.stride;
    if (isIdentity) {
      into.values.set(chunk.values.subarray(from, from + (right - left) * chunk.stride), to);
      continue;
    }
    for (const [sample, channel] of pairs) {
      for (let i = 0; i < right - left; i++) {
        into.values[to + i * into.stride + channel] = chunk.values[from + i * chunk.stride + sample]!;
      }
    }
  }
}

/** The chunks that an interval touches, by their number. */
function touched({ start, stop }: Interval, step: number): Interval {
  return { start: Math.floor(start / step), stop: Math.ceil(stop / step) };
}
