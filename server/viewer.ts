import { type Rect, rectOf, type Size } from '../tiling/geometry.js';
import { shrink } from '../tiling/shrink.js';
import type { OverlayColour } from '../tiling/sinks/overlay.js';
import { coloured } from '../tiling/sinks/preview.js';
import { type Contrast, contrastOf, shown } from '../tiling/sinks/thumbnail.js';
import type { ImageSource, PixelReader } from '../tiling/source.js';
import { memorySource } from '../tiling/sources/memory.js';
import { openImage } from '../tiling/sources/open.js';
import type { OpenOptions } from '../tiling/sources/options.js';
import { RequestError } from './errors.js';

/** Side of the tiles that are shown; that of our masks' own tiles. */
export const VIEW_TILE_PX = 256;
/** Images that are kept open for the next tile; the least recently used is closed. */
const MAX_OPEN = 8;
/** Longest side of the small version of an image that has no pyramid, for its far views. */
const SMALL_PX = 4096;
const JPEG_QUALITY = 85;

/** A tile of a Deep Zoom pyramid: level 0 is one px, each level twice the one before. */
export interface ViewTile {
  readonly level: number;
  readonly column: number;
  readonly row: number;
}

interface Open {
  readonly source: ImageSource;
  small: Promise<PixelReader> | null;
  contrast: Promise<Contrast> | null;
  users: number;
}

/** The number of a Deep Zoom pyramid's largest level. */
export const deepZoomLevels = ({ width, height }: Size): number =>
  Math.ceil(Math.log2(Math.max(width, height, 1)));

/** Shows images and masks by tiles, as a viewer asks for them. */
export class Viewer {
  readonly #open = new Map<string, Promise<Open>>();

  constructor(private readonly options: Pick<OpenOptions, 'maxPixels' | 'allowedHosts'>) {}

  /** A tile of an image, as JPEG: its bytes as they are, other values stretched to what the image holds. */
  imageTile(input: string, open: OpenOptions, tile: ViewTile): Promise<Buffer> {
    return this.#with(input, open, async (image) => {
      const { source } = image;
      const { rect, size, scale } = place(source.size, tile);
      const reader = await this.#levelFor(image, size);
      const ratio = { x: reader.size.width / size.width, y: reader.size.height / size.height };
      const x = { start: Math.floor(rect.x * ratio.x), stop: Math.ceil((rect.x + rect.width) * ratio.x) };
      const y = { start: Math.floor(rect.y * ratio.y), stop: Math.ceil((rect.y + rect.height) * ratio.y) };
      const region = rectOf(
        { start: x.start, stop: Math.min(x.stop, reader.size.width) },
        { start: y.start, stop: Math.min(y.stop, reader.size.height) },
      );
      const raster = await reader.readRegion(region);
      const picture = shown(raster, await this.#contrast(image));
      if (scale > 1 || region.width !== rect.width || region.height !== rect.height) {
        picture.resize({ width: rect.width, height: rect.height, fit: 'fill', kernel: 'linear' });
      }
      return picture.jpeg({ quality: JPEG_QUALITY }).toBuffer();
    });
  }

  /** A tile of a mask in its classes' colours, as PNG; clear where a class has none. */
  maskTile(
    input: string,
    open: OpenOptions,
    tile: ViewTile,
    colours: readonly OverlayColour[],
  ): Promise<Buffer> {
    return this.#with(input, { ...open, values: 'stored' }, async ({ source }) => {
      const { rect, scale } = place(source.size, tile);
      const levels = [source, ...source.overviews];
      const index = Math.min(Math.log2(scale), levels.length - 1);
      const reader = levels[index]!;
      // Views that are smaller than the mask's smallest level take every n-th pixel of it.
      const step = scale / 2 ** index;
      const region = {
        ...{ x: rect.x * step, y: rect.y * step },
        width: Math.min(rect.width * step, reader.size.width - rect.x * step),
        height: Math.min(rect.height * step, reader.size.height - rect.y * step),
      };
      const { data, width } = await reader.readRegion(region);
      const labels = Uint8Array.from({ length: rect.width * rect.height }, (_, i) => {
        return data[Math.floor(i / rect.width) * step * width + (i % rect.width) * step]!;
      });
      return coloured(labels, rect, colours);
    });
  }

  /** Closes what is open below a folder: its files are about to go. */
  async forget(folder: string): Promise<void> {
    for (const key of [...this.#open.keys()]) if (key.includes(folder)) await this.#close(key);
  }

  async #with<Result>(
    input: string,
    options: OpenOptions,
    work: (open: Open) => Promise<Result>,
  ): Promise<Result> {
    const { signal: _, ...plain } = options;
    const key = JSON.stringify([input, plain]);
    const known = this.#open.get(key);
    this.#open.delete(key);
    const opening =
      known ??
      openImage(input, { ...options, ...this.options }).then((source) => ({
        ...{ source, small: null, contrast: null, users: 0 },
      }));
    this.#open.set(key, opening);
    opening.catch(() => this.#open.delete(key));
    const open = await opening;
    open.users++;
    try {
      return await work(open);
    } finally {
      open.users--;
      for (const oldest of this.#open.keys()) {
        if (this.#open.size <= MAX_OPEN) break;
        if ((await this.#open.get(oldest))?.users === 0) await this.#close(oldest);
      }
    }
  }

  async #close(key: string): Promise<void> {
    const opening = this.#open.get(key);
    this.#open.delete(key);
    await opening?.then(({ source }) => source.close()).catch(() => undefined);
  }

  /** The smallest level that is no smaller than what is shown; a small version, where all are much larger. */
  async #levelFor(open: Open, size: Size): Promise<PixelReader> {
    const { source } = open;
    const enough = ({ size: level }: PixelReader) => level.width >= size.width * 0.99;
    const reader = [...source.overviews].reverse().find(enough) ?? source;
    if (reader.size.width < 4 * size.width || Math.max(size.width, size.height) > SMALL_PX) return reader;
    open.small ??= shrink(source, SMALL_PX).then(({ raster }) => memorySource(raster));
    return open.small;
  }

  #contrast(open: Open): Promise<Contrast> {
    const { source } = open;
    if (source.dtype === 'uint8') return Promise.resolve({ low: 0, high: 255 });
    open.contrast ??= shrink(source, 512).then(({ raster }) => contrastOf(raster));
    return open.contrast;
  }
}

/** Where a tile is in its level: the level's size, the tile's rectangle in it, and how much smaller it is. */
function place(size: Size, { level, column, row }: ViewTile): { size: Size; rect: Rect; scale: number } {
  const most = deepZoomLevels(size);
  const scale = 2 ** (most - level);
  const shownSize = { width: Math.ceil(size.width / scale), height: Math.ceil(size.height / scale) };
  const [x, y] = [column * VIEW_TILE_PX, row * VIEW_TILE_PX];
  if (level > most || x >= shownSize.width || y >= shownSize.height) {
    throw new RequestError('not-found', `there is no tile ${column}_${row} on level ${level}`);
  }
  const rect = {
    ...{ x, y },
    width: Math.min(VIEW_TILE_PX, shownSize.width - x),
    height: Math.min(VIEW_TILE_PX, shownSize.height - y),
  };
  return { size: shownSize, rect, scale };
}
