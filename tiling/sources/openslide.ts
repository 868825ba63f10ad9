import { promisify } from 'node:util';
import type koffiModule from 'koffi';
import { CorruptImageError, UnsupportedImageError } from '../errors.js';
import type { Rect, Size } from '../geometry.js';
import type { Raster } from '../raster.js';
import type { ImageSource, PixelReader } from '../source.js';
import { checkPlace } from './choice.js';
import type { OpenOptions } from './options.js';
import { reasonOf } from './reason.js';
import { selectChannels } from './views.js';

/** Names of OpenSlide's library on Linux, macOS and Windows, the newest first. */
const NAMES = [
  'libopenslide.so.1',
  'libopenslide.so.0',
  'libopenslide.1.dylib',
  'libopenslide.0.dylib',
  'libopenslide-1.dll',
];

/** Vendors whose slides are one file each. So are Hamamatsu's if they are TIFFs, which is known before. */
const SINGLE_FILE_VENDORS = new Set(['leica', 'philips', 'ventana', 'sakura', 'zeiss']);

type Handle = object;
interface Library {
  detect(path: string): string | null;
  open(path: string): Handle | null;
  close(slide: Handle): void;
  error(slide: Handle): string | null;
  property(slide: Handle, name: string): string | null;
  levels(slide: Handle): number;
  size(slide: Handle, level: number): Size;
  downsample(slide: Handle, level: number): number;
  /** Reads premultiplied ARGB, on another thread; `x` and `y` in px of level 0. */
  read(
    slide: Handle,
    into: Uint32Array,
    x: number,
    y: number,
    level: number,
    w: number,
    h: number,
  ): Promise<void>;
}

let library: Promise<Library | null> | null = null;

/** Loads OpenSlide's library; null where the system does not have it. */
function openslide(): Promise<Library | null> {
  library ??= import('koffi').then(({ default: koffi }) => load(koffi)).catch(() => null);
  return library;
}

function load(koffi: typeof koffiModule): Library | null {
  const lib = NAMES.map((name) => {
    try {
      return koffi.load(name);
    } catch {
      return null; // not under this name
    }
  }).find((found) => found !== null);
  if (!lib) return null;
  koffi.opaque('openslide_t');
  const declared = (text: string) => lib.func(text);
  const dimensions = declared(
    'void openslide_get_level_dimensions(openslide_t *osr, int32_t level, _Out_ int64_t *w, _Out_ int64_t *h)',
  );
  const read = declared(
    'void openslide_read_region(openslide_t *osr, void *dest, int64_t x, int64_t y, int32_t level, int64_t w, int64_t h)',
  );
  return {
    detect: declared('const char *openslide_detect_vendor(const char *filename)') as Library['detect'],
    open: declared('openslide_t *openslide_open(const char *filename)') as Library['open'],
    close: declared('void openslide_close(openslide_t *osr)') as Library['close'],
    error: declared('const char *openslide_get_error(openslide_t *osr)') as Library['error'],
    property: declared(
      'const char *openslide_get_property_value(openslide_t *osr, const char *name)',
    ) as Library['property'],
    levels: declared('int32_t openslide_get_level_count(openslide_t *osr)') as Library['levels'],
    downsample: declared(
      'double openslide_get_level_downsample(openslide_t *osr, int32_t level)',
    ) as Library['downsample'],
    size(slide, level) {
      const [w, h]: [number[], number[]] = [[0], [0]];
      dimensions(slide, level, w, h);
      return { width: Number(w[0]), height: Number(h[0]) };
    },
    read: promisify(read.async) as unknown as Library['read'],
  };
}

/** Detects the vendor of a slide; null for other files, and where the system does not have OpenSlide. */
export async function slideVendor(path: string): Promise<string | null> {
  return (await openslide())?.detect(path) ?? null;
}

/**
 * Opens a slide of any format that OpenSlide reads, through the system's library. What was not scanned has the
 * slide's background colour, or white.
 *
 * @param kind what errors call it
 * @param isTiff whether it is a TIFF, and so a single file
 * @throws UnsupportedImageError where the library is missing, or does not open it
 */
export async function openOpenSlide(
  path: string,
  options: OpenOptions,
  kind: string,
  isTiff = false,
): Promise<ImageSource> {
  const lib = await openslide();
  if (!lib) {
    throw new UnsupportedImageError(
      `this is ${kind}, which is read through OpenSlide: install its library (Debian: libopenslide0) beside the server`,
    );
  }
  const vendor = lib.detect(path);
  const isSingleFile =
    vendor === null ? isTiff : SINGLE_FILE_VENDORS.has(vendor) || (isTiff && vendor === 'hamamatsu');
  if (options.singleFile && !isSingleFile) {
    throw new UnsupportedImageError(
      `this is ${kind}, which may consist of several files, but an upload is one: name it by path, in the server's folder of slides`,
    );
  }
  const slide = lib.open(path);
  if (!slide) throw new UnsupportedImageError(`this is ${kind}, but OpenSlide cannot read it`);
  const failure = lib.error(slide);
  if (failure) {
    lib.close(slide);
    throw new CorruptImageError(`OpenSlide cannot read the slide: ${reasonOf(failure, path)}`);
  }
  const background = Number.parseInt(lib.property(slide, 'openslide.background-color') ?? 'ffffff', 16);
  const level = (index: number): PixelReader => ({
    size: lib.size(slide, index),
    async readRegion(rect, signal) {
      signal?.throwIfAborted();
      const scale = lib.downsample(slide, index);
      const argb = new Uint32Array(rect.width * rect.height);
      const at = { x: Math.round(rect.x * scale), y: Math.round(rect.y * scale) };
      await lib.read(slide, argb, at.x, at.y, index, rect.width, rect.height);
      const error = lib.error(slide);
      if (error) throw new CorruptImageError(`OpenSlide cannot read the slide: ${reasonOf(error, path)}`);
      return flatten(argb, rect, background);
    },
  });
  try {
    checkPlace(options, {}, 'the slide');
  } catch (error) {
    lib.close(slide);
    throw error;
  }
  const readers = Array.from({ length: lib.levels(slide) }, (_, i) => level(i));
  const mpp = (side: 'x' | 'y') => Number(lib.property(slide, `openslide.mpp-${side}`) ?? Number.NaN);
  const source: ImageSource = {
    ...readers[0]!,
    facts: {
      channels: 3,
      dtype: 'uint8',
      channelNames: null,
      hasOtherFiles: !isSingleFile,
      mpp: mpp('x') > 0 && mpp('y') > 0 ? { x: mpp('x'), y: mpp('y') } : null,
      notes: [`read by OpenSlide (${lib.property(slide, 'openslide.vendor')})`],
    },
    overviews: readers.slice(1),
    close: async () => lib.close(slide),
  };
  return selectChannels(source, options);
}

/** Puts premultiplied pixels over a background colour. */
function flatten(argb: Uint32Array, { width, height }: Rect, background: number): Raster {
  const data = new Uint8Array(argb.length * 3);
  const under = [background >> 16, (background >> 8) & 255, background & 255];
  for (let i = 0; i < argb.length; i++) {
    const pixel = argb[i]!;
    const transparency = 255 - (pixel >>> 24);
    for (let c = 0; c < 3; c++) {
      const value = (pixel >>> (16 - 8 * c)) & 255;
      data[3 * i + c] = transparency === 0 ? value : value + Math.round((transparency * under[c]!) / 255);
    }
  }
  return { data, width, height, channels: 3 };
}
