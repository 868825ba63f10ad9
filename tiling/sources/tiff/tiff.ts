import { UnsupportedImageError } from '../../errors.js';
import { columns, type Rect, rows, type Size } from '../../geometry.js';
import { bytesOf, type Dtype, type PixelArray, pixelArray, type Raster } from '../../raster.js';
import type { ImageSource, PixelReader } from '../../source.js';
import { openBitmap } from '../bitmap.js';
import { type Bytes, fileBytes } from '../bytes.js';
import { checkChannel } from '../choice.js';
import { ChunkCache } from '../chunk-cache.js';
import { openOpenSlide } from '../openslide.js';
import type { OpenOptions } from '../options.js';
import { readChunk } from './chunk.js';
import { type Directory, TiffFile } from './directory.js';
import { checkExtent, chunkBytes, type Layout, LeaveToLibvips, layoutOf, leaveToLibvips } from './layout.js';
import { LeaveToOpenSlide, slideOf } from './slide.js';

/** Chunks larger than this make no random access; the image is unpacked into a scratch file instead. */
const MAX_CHUNK_BYTES = 16 << 20;

/**
 * A TIFF, or an Aperio SVS, read by region: strips or tiles, interleaved or planar; see `layoutOf` for
 * the kinds of values and compressions, and `slideOf` for which of its pages are read.
 *
 * Directories are read here, and not by geotiff, which reads lists of big-endian files in the wrong
 * order, and whatever size they claim. Chunks are decoded here too, and copied row by row.
 */
export async function openTiff(path: string, options: OpenOptions): Promise<ImageSource> {
  const bytes = await fileBytes(path);
  try {
    return await openTiffBytes(bytes, options);
  } catch (error) {
    await bytes.close();
    if (error instanceof LeaveToOpenSlide) return openOpenSlide(path, options, error.message, true);
    if (error instanceof LeaveToLibvips) return openBitmap(path, options);
    throw error;
  }
}

/** The same from bytes that are elsewhere. On failure they stay open. */
export async function openTiffBytes(bytes: Bytes, options: OpenOptions): Promise<ImageSource> {
  const file = await TiffFile.open(bytes);
  const slide = await slideOf(file, options);
  const cache = new ChunkCache<PixelArray>();
  const raw = options.values === 'stored';
  const layouts = new Map<Directory, Promise<Layout>>();
  /** Once for each page: levels of many planes may share one. */
  const layout = (page: Directory): Promise<Layout> => {
    const known = layouts.get(page) ?? checkedLayout(page, options);
    layouts.set(page, known);
    return known;
  };
  const level = async (pages: readonly Directory[]): Promise<TiffLevel> =>
    new TiffLevel(bytes, await Promise.all(pages.map(layout)), options.channels, cache, raw);
  const base = await level(slide.planes);
  const overviews: PixelReader[] = [];
  for (const pages of slide.overviews) {
    // A pyramid that is damaged further up, or odd, costs its overviews only.
    const found = await level(pages).catch(() => null);
    if (found?.channels !== base.channels || found.dtype !== base.dtype) break;
    overviews.push(found);
  }
  const { size, channels, dtype, storedType } = base;
  const own = slide.channelNames ?? base.separateNames;
  const names = own && (options.channels ?? own.map((_, i) => i)).map((i) => own[i]!);
  return {
    size,
    facts: {
      channels,
      dtype,
      storedType,
      channelNames: names && names.length > 1 ? names : null,
      mpp: slide.mpp,
      notes: [...slide.notes, ...base.notes],
    },
    overviews,
    readRegion: (rect, signal) => base.readRegion(rect, signal),
    close: () => bytes.close(),
  };
}

/** @throws LeaveToLibvips for chunks that are too large for random access */
async function checkedLayout(page: Directory, options: OpenOptions): Promise<Layout> {
  const layout = await layoutOf(page, options);
  checkExtent(layout, page.bytes.length);
  return chunkBytes(layout) <= MAX_CHUNK_BYTES ? layout : leaveToLibvips(layout, options);
}

/** How many images a TIFF holds; 1 for any other file. */
export async function countPages(path: string): Promise<number> {
  const bytes = await fileBytes(path);
  try {
    const head = (await bytes.read(0, Math.min(4, bytes.length))).toString('latin1');
    return /^(II[*+]\0|MM\0[*+])$/.test(head) ? (await TiffFile.open(bytes)).pages.length : 1;
  } finally {
    await bytes.close();
  }
}

/** Where a channel of the result is: which page, and which of its samples. */
interface ChannelPlace {
  readonly page: number;
  readonly sample: number;
}

let levels = 0;

/** One level of a slide: one page, or a page for each channel. */
class TiffLevel implements PixelReader {
  readonly size: Size;
  readonly channels: number;
  readonly dtype: Dtype;
  readonly storedType: string;
  readonly #places: readonly ChannelPlace[];
  readonly #id = levels++;

  constructor(
    private readonly bytes: Bytes,
    private readonly pages: readonly Layout[],
    chosen: readonly number[] | undefined,
    private readonly cache: ChunkCache<PixelArray>,
    private readonly raw: boolean,
  ) {
    const [first] = pages as [Layout];
    this.size = first.size;
    this.dtype = first.dtype;
    this.storedType = first.dtype === 'float32' ? `${first.format}${first.bits}` : first.dtype;
    for (const { size, dtype } of pages) {
      if (size.width !== first.size.width || size.height !== first.size.height || dtype !== first.dtype)
        throw new UnsupportedImageError('TIFFs whose channels differ in size or type are not read');
    }
    const all = pages.flatMap(({ channels }, page) =>
      Array.from({ length: channels }, (_, sample) => ({ page, sample })),
    );
    this.#places = (chosen ?? all.map((_, i) => i)).map((i) => {
      checkChannel(i, all.length);
      return all[i]!;
    });
    this.channels = this.#places.length;
  }

  get notes(): readonly string[] {
    return this.pages[0]!.notes;
  }

  get separateNames(): readonly string[] | null {
    const [{ separate, channels }] = this.pages as [Layout];
    return separate ? Array.from({ length: channels }, (_, i) => `channel ${i}`) : null;
  }

  async readRegion(rect: Rect, signal?: AbortSignal): Promise<Raster> {
    const { channels } = this;
    const data = pixelArray(this.dtype, rect.width * rect.height * channels);
    const reads: Promise<void>[] = [];
    for (const [page, layout] of this.pages.entries()) {
      const places = this.#places
        .map((place, channel) => ({ ...place, channel }))
        .filter((place) => place.page === page);
      if (layout.planar && !layout.palette) {
        for (const { sample, channel } of places) {
          reads.push(...this.#read(page, sample, [[0, channel]], rect, data, signal));
        }
      } else if (places.length > 0) {
        const pairs = places.map(({ sample, channel }) => [sample, channel] as const);
        reads.push(...this.#read(page, 0, pairs, rect, data, signal));
      }
    }
    await Promise.all(reads);
    return { data, width: rect.width, height: rect.height, channels };
  }

  /** Copies samples of one page's chunks to channels of a region. */
  *#read(
    page: number,
    plane: number,
    pairs: readonly (readonly [sample: number, channel: number])[],
    rect: Rect,
    into: PixelArray,
    signal: AbortSignal | undefined,
  ): Generator<Promise<void>> {
    const layout = this.pages[page]!;
    const { chunk, across, down, dtype, planar, samples, palette } = layout;
    const stored = palette ? 3 : planar ? 1 : samples;
    const size = chunk.width * chunk.height * stored * bytesOf(dtype);
    const vertical = touched(rows(rect), chunk.height);
    const horizontal = touched(columns(rect), chunk.width);
    for (let row = vertical.start; row < vertical.stop; row++) {
      for (let column = horizontal.start; column < horizontal.stop; column++) {
        signal?.throwIfAborted();
        const index = (plane * down + row) * across + column;
        const decoded = this.cache.get(`${this.#id}/${page}/${index}`, size, () =>
          readChunk(this.bytes, layout, index, this.raw, signal),
        );
        yield decoded.then((values) =>
          copy(
            values,
            stored,
            { x: column * chunk.width, y: row * chunk.height, ...chunk },
            pairs,
            rect,
            into,
            this.channels,
          ),
        );
      }
    }
  }
}

/** Copies the part of a chunk that lies in a region. */
function copy(
  chunk: PixelArray,
  stored: number,
  at: Rect,
  pairs: readonly (readonly [sample: number, channel: number])[],
  rect: Rect,
  into: PixelArray,
  channels: number,
): void {
  const [left, right] = [Math.max(rect.x, at.x), Math.min(rect.x + rect.width, at.x + at.width)];
  const [top, bottom] = [Math.max(rect.y, at.y), Math.min(rect.y + rect.height, at.y + at.height)];
  const same = stored === channels && pairs.length === channels && pairs.every(([s, c]) => s === c);
  for (let y = top; y < bottom; y++) {
    const from = ((y - at.y) * at.width + left - at.x) * stored;
    const to = ((y - rect.y) * rect.width + left - rect.x) * channels;
    if (same) {
      into.set(chunk.subarray(from, from + (right - left) * stored), to);
      continue;
    }
    for (const [sample, channel] of pairs) {
      for (let i = 0; i < right - left; i++)
        into[to + i * channels + channel] = chunk[from + i * stored + sample]!;
    }
  }
}

function touched(
  { start, stop }: { start: number; stop: number },
  step: number,
): { start: number; stop: number } {
  return { start: Math.floor(start / step), stop: Math.ceil(stop / step) };
}
