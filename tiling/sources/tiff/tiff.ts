import { UnsupportedImageError } from '../../errors.js';
import { isStack } from '../../planes.js';
import type { PixelArray } from '../../raster.js';
import type { ImageSource, PixelReader } from '../../source.js';
import { openBitmap } from '../bitmap.js';
import { type Bytes, fileBytes } from '../bytes.js';
import { chooseChannels } from '../channels.js';
import { ChunkCache } from '../chunk-cache.js';
import { openOpenSlide } from '../openslide.js';
import type { OpenOptions } from '../options.js';
import { checkChunks } from './chunk-table.js';
import type { Directory } from './directory.js';
import { type Layout, layoutOf } from './layout.js';
import { TiffLevel } from './level.js';
import { NeedsLibvips, NeedsOpenSlide, needsLibvips } from './refusals.js';
import { slideOf, type TiffPlane } from './slide.js';
import { TiffFile } from './tiff-file.js';
import { chunkBytes } from './values.js';

/** Larger chunks leave no random access: such an image is decoded to a scratch file instead. */
const MAX_CHUNK_BYTES = 16 << 20;

/**
 * Opens a TIFF, or an Aperio SVS, to be read by region: strips or tiles, interleaved or planar. See `layoutOf`
 * for the supported values and compressions, and `slideOf` for which of its pages are read.
 *
 * Directories are read here instead of by geotiff, which reads lists of big-endian files in the wrong order,
 * and whatever size they claim. Chunks are decoded here too, and copied row by row.
 */
export async function openTiff(path: string, options: OpenOptions): Promise<ImageSource> {
  const bytes = await fileBytes(path);
  try {
    return await openTiffBytes(bytes, options);
  } catch (error) {
    await bytes.close();
    if (error instanceof NeedsOpenSlide) return openOpenSlide(path, options, error.message, true);
    if (error instanceof NeedsLibvips && isStack(options)) {
      throw new UnsupportedImageError(
        'the pages of this TIFF can be decoded as a whole only, so it is read one page at a time: choose one with page',
      );
    }
    if (error instanceof NeedsLibvips) return openBitmap(path, options);
    throw error;
  }
}

/**
 * Opens a TIFF by its bytes, wherever they are. The image closes them; on failure they stay open.
 * @throws NeedsOpenSlide, NeedsLibvips for what is not read from bytes
 */
export async function openTiffBytes(bytes: Bytes, options: OpenOptions): Promise<ImageSource> {
  const slide = await slideOf(await TiffFile.open(bytes), options);
  const cache = new ChunkCache<PixelArray>(); // of all planes
  const { stack } = slide;
  const openPlane = async (plane: TiffPlane, name: string): Promise<ImageSource> => {
    const { channelNames } = slide;
    const opened = await levelsOf(plane, { bytes, cache, name, channelNames, options });
    const { base, overviews, names, channelIndexes } = opened;
    const { size, channels, dtype, storedType } = base;
    return {
      size,
      facts: {
        channels,
        dtype,
        storedType,
        channelNames: names && names.length > 1 ? names : null,
        channelIndexes,
        mpp: slide.mpp,
        notes: [...slide.notes, ...base.notes],
        stack: stack && { sizeZ: stack.sizeZ, sizeT: stack.sizeT, zMicrons: stack.zMicrons },
      },
      overviews,
      readRegion: (rect, signal) => base.readRegion(rect, signal),
      close: async () => undefined,
    };
  };
  return {
    ...(await openPlane(slide, '')),
    openPlane: stack && (async (plane) => openPlane(await stack.planeAt(plane), `${plane.t}/${plane.z}/`)),
    close: () => bytes.close(),
  };
}

interface PlaneOptions {
  readonly bytes: Bytes;
  readonly cache: ChunkCache<PixelArray>;
  /** Of the plane, for the cache. */
  readonly name: string;
  /** Of all channels, as the metadata name them. */
  readonly channelNames: readonly string[] | null;
  readonly options: OpenOptions;
}

/** The levels of one plane, and the names and numbers of the channels that are chosen. */
async function levelsOf(plane: TiffPlane, { bytes, cache, name, channelNames, options }: PlaneOptions) {
  const isRaw = options.values === 'stored';
  const layouts = new Map<Directory, Promise<Layout>>();
  /** Read once per page: levels of several planes may share one. */
  const layout = (page: Directory): Promise<Layout> => {
    const known = layouts.get(page) ?? checkedLayout(page, options);
    layouts.set(page, known);
    return known;
  };
  const pages = await Promise.all(plane.pages.map(layout));
  const count = pages.reduce((sum, page) => sum + page.channels, 0);
  const known = channelNames?.length === count ? channelNames : separateNames(pages[0]!);
  const channels = chooseChannels(options, known, count);
  const level = async (directories: readonly Directory[], index: number): Promise<TiffLevel> => {
    const layouts = await Promise.all(directories.map(layout));
    return new TiffLevel(layouts, { bytes, cache, name: `${name}${index}`, channels, isRaw });
  };
  const base = await level(plane.pages, 0);
  const overviews: PixelReader[] = [];
  for (const [i, planes] of plane.overviews.entries()) {
    // A damaged or odd level ends the pyramid, but does not make the image unreadable.
    const overview = await level(planes, i + 1).catch(() => null);
    if (overview?.channels !== base.channels || overview.dtype !== base.dtype) break;
    overviews.push(overview);
  }
  const names = known && (channels ?? known.map((_, i) => i)).map((i) => known[i]!);
  return { base, overviews, names, channelIndexes: channels };
}

/** Names of the channels of one page where they are separate pictures; null for colours. */
function separateNames({ isSeparate, channels }: Layout): readonly string[] | null {
  return isSeparate ? Array.from({ length: channels }, (_, i) => `channel ${i}`) : null;
}

/** @throws NeedsLibvips for chunks that are too large for random access */
async function checkedLayout(page: Directory, options: OpenOptions): Promise<Layout> {
  const layout = await layoutOf(page, options);
  checkChunks(layout, layout, page.bytes.length);
  if (chunkBytes(layout.chunk, layout) > MAX_CHUNK_BYTES) {
    throw needsLibvips(layout.size, layout.chunk, layout, options);
  }
  return layout;
}

/** Counts the images of a TIFF; any other file has 1. */
export async function countPages(path: string): Promise<number> {
  const bytes = await fileBytes(path);
  try {
    const head = (await bytes.read(0, Math.min(4, bytes.length))).toString('latin1');
    const isTiff = /^(II[*+]\0|MM\0[*+])$/.test(head);
    return isTiff ? (await TiffFile.open(bytes)).pages.length : 1;
  } finally {
    await bytes.close();
  }
}
