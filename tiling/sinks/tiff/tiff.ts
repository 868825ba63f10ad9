import { promisify } from 'node:util';
import { deflate, type ZlibOptions } from 'node:zlib';
import { type Interval, type Rect, runs, type Size } from '../../geometry.js';
import type { MaskSink } from '../../sink.js';
import {
  ASCII,
  BIG_TIFF_HEADER_BYTES,
  bigTiffDirectory,
  bigTiffHeader,
  bigTiffPosition,
  IFD8,
  nextDirectoryAt,
  type Tag,
} from '../../tiff/big-tiff.js';
import { TAG } from '../../tiff/tags.js';
import type { Values } from '../halve.js';
import { LABEL_DEFLATE } from '../label-deflate.js';
import { PartialFile } from '../partial-file.js';
import { Pyramid, type PyramidStrip } from '../pyramid.js';
import { PIXEL_TYPES, planesOf, type TiffFormat } from './format.js';
import { imageTags } from './image-tags.js';
import { Level, levelSizes, TIFF_TILE_PX } from './level.js';
import { omeXml } from './ome-xml.js';

const compress = promisify(deflate);

/** Tiles are lower where pixels come in whole rows: a row of tiles is held in memory. */
const ROWS_TILE_PX = 64;

/**
 * Writes a pyramidal OME-BigTIFF, tiled and deflated. Overviews, each half the size of the one before, are the
 * SubIFDs of their image. Channels that are not colours have an image each, as OME-TIFF requires, and so has each
 * plane of a stack, whose directories follow its tiles.
 *
 * Memory is that of `Pyramid`, for one plane. Tiles are written as pixels come, column block by column block, whatever the
 * bands are: the same pixels make the same bytes.
 */
export class TiffSink implements MaskSink {
  #levels: readonly [Level, ...Level[]];
  #pyramid: Pyramid;
  /** The plane that the levels are of, by its place in the stack. */
  #plane = 0;
  readonly #tile: Size;
  /** The pixels of a strip's tiles while they are compressed; the next strip reuses their arrays. */
  readonly #tiles: Values[] = [];
  #firstDirectory = 0;
  /** Where the position of the next plane's directory belongs; null before the first plane has ended. */
  #link: number | null = null;

  private constructor(
    private readonly file: PartialFile,
    private readonly size: Size,
    private readonly format: TiffFormat,
  ) {
    const isRows = format.order === 'rows';
    this.#tile = { width: TIFF_TILE_PX, height: isRows ? ROWS_TILE_PX : TIFF_TILE_PX };
    this.#levels = this.#newLevels();
    this.#pyramid = this.#newPyramid();
  }

  static async create(path: string, size: Size, format: TiffFormat): Promise<TiffSink> {
    const file = await PartialFile.create(path);
    await file.append(Buffer.alloc(BIG_TIFF_HEADER_BYTES)); // written last, when it is known where directories are
    return new TiffSink(file, size, format);
  }

  async writeBand(rect: Rect, data: Values, plane: number): Promise<void> {
    if (plane !== this.#plane) {
      await this.#endPlane();
      this.#plane = plane;
      this.#levels = this.#newLevels();
      this.#pyramid = this.#newPyramid();
    }
    await this.#pyramid.writeBand(rect, data);
  }

  async finish(): Promise<void> {
    await this.#endPlane();
    await this.file.writeAt(bigTiffHeader(this.#firstDirectory), 0);
    await this.file.commit();
  }

  async abort(): Promise<void> {
    await this.file.discard();
  }

  #newLevels(): [Level, ...Level[]] {
    const planes = planesOf(this.format);
    return levelSizes(this.size).map((level) => new Level(level, this.#tile, planes)) as [Level, ...Level[]];
  }

  #newPyramid(): Pyramid {
    const { channels, dtype, overviews, order } = this.format;
    const { array } = PIXEL_TYPES[dtype];
    const { width: tilePx, height: stripPx } = this.#tile;
    const format = { channels, array, overviews, tilePx, stripPx, order };
    return new Pyramid(this.size, format, (level, strip) => this.#writeStrip(level, strip));
  }

  /** Writes what is buffered of a plane, and its directories, which the one before points to. */
  async #endPlane(): Promise<void> {
    await this.#pyramid.finish();
    const subIfds = await this.#writeOverviewDirectories();
    const { position } = this.file;
    if (this.#link === null) this.#firstDirectory = position;
    else await this.file.writeAt(bigTiffPosition(position), this.#link);
    this.#link = await this.#writeImageDirectories(subIfds);
  }

  /** Writes a strip's tiles. */
  async #writeStrip(index: number, strip: PyramidStrip): Promise<void> {
    const level = this.#levels[index]!;
    const { x, y, width } = strip;
    const planes = planesOf(this.format);
    const columns = [...runs({ start: 0, stop: width }, TIFF_TILE_PX)];
    const compressing: Promise<Buffer>[] = [];
    for (const interval of columns) {
      for (let plane = 0; plane < planes; plane++) {
        const tile = (this.#tiles[compressing.length] ??= this.#newTile(planes));
        this.#cutTile(strip, interval, plane, planes, tile);
        compressing.push(compress(bytesOf(tile), deflateOptions(this.format)));
      }
    }
    const first = (y / this.#tile.height) * level.across + x / TIFF_TILE_PX;
    const tiles = await Promise.all(compressing);
    let { position } = this.file;
    for (const [i, { length }] of tiles.entries()) {
      const at = first + Math.floor(i / planes);
      level.offsets[i % planes]![at] = position;
      level.byteCounts[i % planes]![at] = length;
      position += length;
    }
    await this.file.append(Buffer.concat(tiles));
  }

  #newTile(planes: number): Values {
    const { channels, dtype } = this.format;
    return new PIXEL_TYPES[dtype].array((this.#tile.width * this.#tile.height * channels) / planes);
  }

  /** Copies one plane of some columns of a strip into a tile; what lies beyond the image is 0. */
  #cutTile(
    { width, height, values }: PyramidStrip,
    { start, stop }: Interval,
    plane: number,
    planes: number,
    tile: Values,
  ): void {
    const { channels } = this.format;
    const samples = channels / planes;
    if (stop - start < TIFF_TILE_PX || height < this.#tile.height) tile.fill(0);
    for (let row = 0; row < height; row++) {
      const from = (row * width + start) * channels;
      const to = row * TIFF_TILE_PX * samples;
      if (planes === 1) {
        tile.set(values.subarray(from, from + (stop - start) * channels), to);
      } else {
        for (let i = 0; i < stop - start; i++) tile[to + i] = values[from + i * channels + plane]!;
      }
    }
  }

  /** Writes the directories of all overviews; returns their positions, by plane. */
  async #writeOverviewDirectories(): Promise<number[][]> {
    const positions: number[][] = [];
    for (let plane = 0; plane < planesOf(this.format); plane++) {
      const own: number[] = [];
      for (const level of this.#levels.slice(1)) {
        own.push(this.file.position);
        await this.file.append(bigTiffDirectory(this.#tags(level, plane), this.file.position));
      }
      positions.push(own);
    }
    return positions;
  }

  /**
   * Writes the directories of the full-size images, one per plane, the first of the file with the OME-XML.
   * @returns where the last one has the position of the next
   */
  async #writeImageDirectories(subIfds: readonly (readonly number[])[]): Promise<number> {
    const [base] = this.#levels;
    const { name = 'image', mpp, channels, dtype, classes = [] } = this.format;
    const { stack = { sizeZ: 1, sizeT: 1 } } = this.format;
    const planes = subIfds.length;
    let link = 0;
    for (const [plane, positions] of subIfds.entries()) {
      const tags = this.#tags(base, plane);
      if (plane === 0 && this.#plane === 0) {
        const type = PIXEL_TYPES[dtype].ome;
        const xml = omeXml({ name, size: base.size, type, channels, planes, mpp, stack, classes });
        tags.push({ id: TAG.description, type: ASCII, values: xml });
      }
      if (positions.length > 0) tags.push({ id: TAG.subIfds, type: IFD8, values: positions });
      link = nextDirectoryAt(this.file.position, tags.length);
      await this.file.append(bigTiffDirectory(tags, this.file.position, plane + 1 < planes));
    }
    return link;
  }

  #tags(level: Level, plane: number): Tag[] {
    const [base] = this.#levels;
    const { format } = this;
    const tileHeight = this.#tile.height;
    return imageTags({ level, format, fullSize: base.size, tileHeight, isReduced: level !== base }, plane);
  }
}

/** Floats hardly compress at any level; the lowest is several times faster. */
function deflateOptions({ dtype, overviews }: TiffFormat): ZlibOptions {
  if (dtype === 'uint8' && overviews === 'majority') return LABEL_DEFLATE;
  return { level: dtype === 'float32' ? 1 : 6 };
}

const bytesOf = ({ buffer }: Values): Uint8Array => new Uint8Array(buffer);
