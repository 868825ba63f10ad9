import { type Rect, rectOf, type Size } from '../../tiling/geometry.js';
import { shrink } from '../../tiling/shrink.js';
import type { Contrast, OverlayColour } from '../../tiling/sinks/overlay.js';
import { contrastOf, renderLabels, renderPixels } from '../../tiling/sinks/render.js';
import type { ImageSource, PixelReader } from '../../tiling/source.js';
import { memorySource } from '../../tiling/sources/memory.js';
import { openImage } from '../../tiling/sources/open.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import { deepZoomLevels, VIEW_TILE_PX, type ViewTile } from '../contract/deep-zoom.js';
import { RequestError } from '../contract/errors.js';

/** Images that stay open for the next tile; beyond it, the least recently used is closed. */
const MAX_OPEN = 8;
/** Longest side in px of the downscaled copy of an image without a pyramid, for views of a low zoom. */
const SMALL_PX = 4096;
const JPEG_QUALITY = 85;

/** An image that is open, or is being opened. */
interface OpenEntry {
  readonly opening: Promise<ImageSource>;
  /** The downscaled copy of an image without a pyramid; null until it is needed. */
  small: Promise<PixelReader> | null;
  contrast: Promise<Contrast> | null;
  /** Tiles that are being read from it: it is closed once there are none. */
  users: number;
  /** Called when `users` falls to 0. */
  onIdle: () => void;
}

/** Renders the tiles of images and masks that a viewer requests. */
export class Viewer {
  /** The most recently used last. */
  readonly #open = new Map<string, OpenEntry>();

  constructor(
    private readonly options: Pick<OpenOptions, 'maxPixels' | 'maxUnpackedBytes' | 'allowedHosts'>,
  ) {}

  /** A tile of an image, as JPEG: `uint8` as stored, other types stretched to the range of the image's values. */
  imageTile(input: string, open: OpenOptions, tile: ViewTile): Promise<Buffer> {
    return this.#with(input, open, async (source, entry) => {
      const { rect, size, scale } = place(source.size, tile);
      const reader = await levelFor(source, entry, size);
      const ratio = { x: reader.size.width / size.width, y: reader.size.height / size.height };
      const x = { start: Math.floor(rect.x * ratio.x), stop: Math.ceil((rect.x + rect.width) * ratio.x) };
      const y = { start: Math.floor(rect.y * ratio.y), stop: Math.ceil((rect.y + rect.height) * ratio.y) };
      const region = rectOf(
        { start: x.start, stop: Math.min(x.stop, reader.size.width) },
        { start: y.start, stop: Math.min(y.stop, reader.size.height) },
      );
      const raster = await reader.readRegion(region);
      const picture = renderPixels(raster, await contrastFor(source, entry));
      if (scale > 1 || region.width !== rect.width || region.height !== rect.height) {
        picture.resize({ width: rect.width, height: rect.height, fit: 'fill', kernel: 'linear' });
      }
      return picture.jpeg({ quality: JPEG_QUALITY }).toBuffer();
    });
  }

  /** A tile of a mask in its classes' colours, as PNG; transparent where a class has none. */
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
      return renderLabels(labels, rect, colours);
    });
  }

  /** Closes the images below a folder once nobody reads them: its files are about to be removed. */
  async evict(folder: string): Promise<void> {
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
    work: (source: ImageSource, entry: OpenEntry) => Promise<Result>,
  ): Promise<Result> {
    const { signal: _, ...plain } = options;
    const key = JSON.stringify([input, plain]);
    const entry = this.#open.get(key) ?? this.#openEntry(key, input, options);
    this.#open.delete(key);
    this.#open.set(key, entry);
    entry.users++;
    try {
      return await work(await entry.opening, entry);
    } finally {
      entry.users--;
      if (entry.users === 0) entry.onIdle();
      await this.#closeUnused();
    }
  }

  #openEntry(key: string, input: string, options: OpenOptions): OpenEntry {
    const opening = openImage(input, { ...options, ...this.options });
    const entry: OpenEntry = { opening, small: null, contrast: null, users: 0, onIdle: () => undefined };
    opening.catch(() => {
      if (this.#open.get(key) === entry) this.#open.delete(key);
    });
    return entry;
  }

  async #closeUnused(): Promise<void> {
    for (const [key, { users }] of this.#open) {
      if (this.#open.size <= MAX_OPEN) break;
      if (users === 0) await this.#close(key);
    }
  }

  /** Removes an image, and closes it once nobody reads it: image libraries crash on less. */
  async #close(key: string): Promise<void> {
    const entry = this.#open.get(key);
    if (!entry) return;
    this.#open.delete(key);
    if (entry.users > 0) {
      await new Promise<void>((resolve) => {
        entry.onIdle = resolve;
      });
    }
    await entry.opening.then((source) => source.close()).catch(() => undefined);
  }
}

/** The smallest level that is no smaller than the requested one; a downscaled copy where all are much larger. */
async function levelFor(source: ImageSource, entry: OpenEntry, size: Size): Promise<PixelReader> {
  const enough = ({ size: level }: PixelReader) => level.width >= size.width * 0.99;
  const reader = [...source.overviews].reverse().find(enough) ?? source;
  if (reader.size.width < 4 * size.width || Math.max(size.width, size.height) > SMALL_PX) return reader;
  entry.small ??= shrink(source, SMALL_PX)
    .then(({ raster }) => memorySource(raster))
    .catch((error: unknown) => {
      entry.small = null; // the next request retries it
      throw error;
    });
  return entry.small;
}

async function contrastFor(source: ImageSource, entry: OpenEntry): Promise<Contrast> {
  if (source.facts.dtype === 'uint8') return { low: 0, high: 255 };
  entry.contrast ??= shrink(source, 512)
    .then(({ raster }) => contrastOf(raster))
    .catch((error: unknown) => {
      entry.contrast = null;
      throw error;
    });
  return entry.contrast;
}

/**
 * Where a tile is: the size of its level, its rectangle in px of that level, and by how much the image is larger.
 * @throws RequestError `not-found` outside the pyramid
 */
function place(size: Size, { level, column, row }: ViewTile): { size: Size; rect: Rect; scale: number } {
  const maxLevel = deepZoomLevels(size);
  const scale = 2 ** (maxLevel - level);
  const levelSize = { width: Math.ceil(size.width / scale), height: Math.ceil(size.height / scale) };
  const [x, y] = [column * VIEW_TILE_PX, row * VIEW_TILE_PX];
  if (level > maxLevel || x >= levelSize.width || y >= levelSize.height) {
    throw new RequestError('not-found', `there is no tile ${column}_${row} on level ${level}`);
  }
  const rect = {
    x,
    y,
    width: Math.min(VIEW_TILE_PX, levelSize.width - x),
    height: Math.min(VIEW_TILE_PX, levelSize.height - y),
  };
  return { size: levelSize, rect, scale };
}
