import { type Rect, rectOf, type Size } from '../../tiling/geometry.js';
import { shrink } from '../../tiling/shrink.js';
import type { OverlayColour } from '../../tiling/sinks/overlay.js';
import { coloured } from '../../tiling/sinks/preview.js';
import { type Contrast, contrastOf, shown } from '../../tiling/sinks/thumbnail.js';
import type { ImageSource, PixelReader } from '../../tiling/source.js';
import { memorySource } from '../../tiling/sources/memory.js';
import { openImage } from '../../tiling/sources/open.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import { deepZoomLevels, VIEW_TILE_PX, type ViewTile } from '../contract/deep-zoom.js';
import { RequestError } from '../contract/errors.js';

/** Images that are kept open for the next tile; the least recently used is closed. */
const MAX_OPEN = 8;
/** Longest side of the small version of an image that has no pyramid, for its far views. */
const SMALL_PX = 4096;
const JPEG_QUALITY = 85;

/** An image that is shown, or is about to be. */
interface Shown {
  readonly opening: Promise<ImageSource>;
  /** Of an image without a pyramid, for its far views. */
  small: Promise<PixelReader> | null;
  contrast: Promise<Contrast> | null;
  /** Tiles that are being made of it: it is closed when there are none. */
  users: number;
  onIdle: () => void;
}

/** Shows images and masks by tiles, as a viewer asks for them. */
export class Viewer {
  /** The most recently used last. */
  readonly #open = new Map<string, Shown>();

  constructor(
    private readonly options: Pick<OpenOptions, 'maxPixels' | 'maxUnpackedBytes' | 'allowedHosts'>,
  ) {}

  /** A tile of an image, as JPEG: its bytes as they are, other values stretched to what the image holds. */
  imageTile(input: string, open: OpenOptions, tile: ViewTile): Promise<Buffer> {
    return this.#with(input, open, async (source, image) => {
      const { rect, size, scale } = place(source.size, tile);
      const reader = await levelFor(source, image, size);
      const ratio = { x: reader.size.width / size.width, y: reader.size.height / size.height };
      const x = { start: Math.floor(rect.x * ratio.x), stop: Math.ceil((rect.x + rect.width) * ratio.x) };
      const y = { start: Math.floor(rect.y * ratio.y), stop: Math.ceil((rect.y + rect.height) * ratio.y) };
      const region = rectOf(
        { start: x.start, stop: Math.min(x.stop, reader.size.width) },
        { start: y.start, stop: Math.min(y.stop, reader.size.height) },
      );
      const raster = await reader.readRegion(region);
      const picture = shown(raster, await contrastFor(source, image));
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
    return this.#with(input, { ...open, values: 'stored' }, async (source) => {
      const { rect, scale } = place(source.size, tile);
      const levels = [source, ...source.overviews];
      const index = Math.min(Math.log2(scale), levels.length - 1);
      const reader = levels[index]!;
      // Views that are smaller than the mask's smallest level take every n-th pixel of it.
      const step = scale / 2 ** index;
      const region = {
        x: rect.x * step,
        y: rect.y * step,
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

  /** Closes what is open below a folder, when its tiles are made: its files are about to go. */
  async forget(folder: string): Promise<void> {
    await Promise.all(
      [...this.#open.keys()].filter((key) => key.includes(folder)).map((key) => this.#close(key)),
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((key) => this.#close(key)));
  }

  async #with<Result>(
    input: string,
    options: OpenOptions,
    work: (source: ImageSource, shown: Shown) => Promise<Result>,
  ): Promise<Result> {
    const { signal: _, ...plain } = options;
    const key = JSON.stringify([input, plain]);
    const shown = this.#open.get(key) ?? this.#show(key, input, options);
    this.#open.delete(key);
    this.#open.set(key, shown);
    shown.users++;
    try {
      return await work(await shown.opening, shown);
    } finally {
      shown.users--;
      if (shown.users === 0) shown.onIdle();
      await this.#evict();
    }
  }

  #show(key: string, input: string, options: OpenOptions): Shown {
    const opening = openImage(input, { ...options, ...this.options });
    const shown: Shown = { opening, small: null, contrast: null, users: 0, onIdle: () => undefined };
    opening.catch(() => {
      if (this.#open.get(key) === shown) this.#open.delete(key);
    });
    return shown;
  }

  async #evict(): Promise<void> {
    for (const [key, { users }] of this.#open) {
      if (this.#open.size <= MAX_OPEN) break;
      if (users === 0) await this.#close(key);
    }
  }

  /** Takes an image off, and closes it when nobody reads it: libraries do not survive less. */
  async #close(key: string): Promise<void> {
    const shown = this.#open.get(key);
    if (!shown) return;
    this.#open.delete(key);
    if (shown.users > 0) {
      await new Promise<void>((resolve) => {
        shown.onIdle = resolve;
      });
    }
    await shown.opening.then((source) => source.close()).catch(() => undefined);
  }
}

/** The smallest level that is no smaller than what is shown; a small version, where all are much larger. */
async function levelFor(source: ImageSource, shown: Shown, size: Size): Promise<PixelReader> {
  const enough = ({ size: level }: PixelReader) => level.width >= size.width * 0.99;
  const reader = [...source.overviews].reverse().find(enough) ?? source;
  if (reader.size.width < 4 * size.width || Math.max(size.width, size.height) > SMALL_PX) return reader;
  shown.small ??= shrink(source, SMALL_PX)
    .then(({ raster }) => memorySource(raster))
    .catch((error: unknown) => {
      shown.small = null; // what failed once may be there the next time
      throw error;
    });
  return shown.small;
}

async function contrastFor(source: ImageSource, shown: Shown): Promise<Contrast> {
  if (source.facts.dtype === 'uint8') return { low: 0, high: 255 };
  shown.contrast ??= shrink(source, 512)
    .then(({ raster }) => contrastOf(raster))
    .catch((error: unknown) => {
      shown.contrast = null;
      throw error;
    });
  return shown.contrast;
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
    x,
    y,
    width: Math.min(VIEW_TILE_PX, shownSize.width - x),
    height: Math.min(VIEW_TILE_PX, shownSize.height - y),
  };
  return { size: shownSize, rect, scale };
}
