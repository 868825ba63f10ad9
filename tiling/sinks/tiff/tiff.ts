import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import { type Rect, runs, type Size } from '../../geometry.js';
import { COLUMN_BLOCK_PX } from '../../plan.js';
import type { MaskSink } from '../../sink.js';
import type { PixelSize } from '../../source.js';
import { PartialFile } from '../partial-file.js';
import { halve, type Reduction, type Values } from './halve.js';
import { type MaskClass, omeXml } from './ome-xml.js';
import {
  ASCII,
  bigTiffDirectory,
  bigTiffHeader,
  IFD8,
  LONG,
  LONG8,
  RATIONAL,
  SHORT,
  type Tag,
} from './tags.js';

const compress = promisify(deflate);

/** Side of the file's own tiles; the TIFF wants a multiple of 16. */
export const TIFF_TILE_PX = 256;
/** What is written in whole rows has lower tiles: a row of them is held in memory. */
const ROWS_TILE_PX = 64;

const TYPES = {
  uint8: { array: Uint8Array, ome: 'uint8' },
  uint16: { array: Uint16Array, ome: 'uint16' },
  uint32: { array: Uint32Array, ome: 'uint32' },
  float32: { array: Float32Array, ome: 'float' },
} as const;
/** Floats hardly compress at any level; the lowest is several times faster. */
const LEVEL = { uint8: 6, uint16: 6, uint32: 6, float32: 1 } as const;

export interface TiffFormat {
  /** What the file holds, in a word: `labels`, `probabilities`. Default `image`. */
  readonly name?: string;
  /** Values a pixel, as they come: interleaved. Three of 8 or 16 bits are stored so, as RGB; others in planes. */
  readonly channels: number;
  readonly dtype: keyof typeof TYPES;
  readonly mpp: PixelSize | null;
  /** How overviews are made. */
  readonly overviews: Reduction;
  /** How the pixels come: in the bands of a plan, or in whole rows. Default `bands`. */
  readonly order?: 'bands' | 'rows';
  /**
   * What values mean, named in the OME-XML. Those of one channel of bytes are coloured by a palette; where there
   * is a channel for each class, it has its name.
   */
  readonly classes?: readonly MaskClass[];
}

/**
 * A pyramidal OME-BigTIFF, tiled and deflated; overviews, each half the size of the one before, are the
 * SubIFDs of its image. Channels that are no colours have an image each, as OME-TIFF wants it. Memory holds one row of the file's tiles in one column block, and the levels
 * of a 64th of the image's sides and less. Tiles are written as the pixels come, column block by column
 * block, whatever the bands were: so the same pixels make the same bytes.
 */
export class TiffSink implements MaskSink {
  readonly #levels: Level[];
  readonly #tile: Size;
  /** Columns that come together. */
  readonly #block: number;
  /** Levels whose tiles fit into a block; the smaller ones wait in memory. */
  readonly #streamed: number;

  private constructor(
    private readonly file: PartialFile,
    size: Size,
    private readonly format: TiffFormat,
  ) {
    const rows = format.order === 'rows';
    this.#tile = { width: TIFF_TILE_PX, height: rows ? ROWS_TILE_PX : TIFF_TILE_PX };
    this.#block = rows ? Number.POSITIVE_INFINITY : COLUMN_BLOCK_PX;
    this.#streamed = Math.log2(this.#block / TIFF_TILE_PX) + 1;
    this.#levels = levelSizes(size).map(
      (level, i) => new Level(level, this.#tile, i >= this.#streamed, format),
    );
  }

  static async create(path: string, size: Size, format: TiffFormat): Promise<TiffSink> {
    const file = await PartialFile.create(path);
    await file.append(Buffer.alloc(16)); // the header, written last
    return new TiffSink(file, size, format);
  }

  async writeBand(rect: Rect, data: Values): Promise<void> {
    const { channels } = this.format;
    for (const { start, stop } of runs({ start: rect.x, stop: rect.x + rect.width }, this.#block)) {
      for (let row = 0; row < rect.height; row++) {
        const from = (row * rect.width + start - rect.x) * channels;
        const values = data.subarray(from, from + (stop - start) * channels);
        const strip = this.#levels[0]!.put(start, stop - start, rect.y + row, values);
        if (strip) await this.#write(0, strip);
      }
    }
  }

  async finish(): Promise<void> {
    for (const [i, level] of this.#levels.entries()) {
      if (i >= this.#streamed) for (const strip of level.held()) await this.#write(i, strip);
    }
    const [base, ...overviews] = this.#levels as [Level, ...Level[]];
    const planes = planesOf(this.format);
    const children: number[][] = [];
    for (let plane = 0; plane < planes; plane++) {
      const positions: number[] = [];
      for (const level of overviews) {
        positions.push(this.file.position);
        await this.file.append(bigTiffDirectory(this.#tags(level, plane, true), this.file.position));
      }
      children.push(positions);
    }
    const { position } = this.file;
    const { name = 'image', mpp, channels, dtype, classes = [] } = this.format;
    for (const [plane, positions] of children.entries()) {
      const tags = this.#tags(base, plane, false);
      if (plane === 0) {
        const xml = omeXml({ name, size: base.size, type: TYPES[dtype].ome, channels, planes, mpp, classes });
        tags.push({ id: 270, type: ASCII, values: xml });
      }
      if (positions.length > 0) tags.push({ id: 330, type: IFD8, values: positions });
      await this.file.append(bigTiffDirectory(tags, this.file.position, plane + 1 < planes));
    }
    await this.file.writeAt(bigTiffHeader(position), 0);
    await this.file.commit();
  }

  async abort(): Promise<void> {
    await this.file.discard();
  }

  /** Writes the tiles of a row of them, and passes the pixels, halved, to the next level. */
  async #write(index: number, strip: Strip): Promise<void> {
    const level = this.#levels[index]!;
    const { channels, overviews } = this.format;
    const { x, y, width, height, values } = strip;
    const planes = planesOf(this.format);
    const columns = [...runs({ start: 0, stop: width }, TIFF_TILE_PX)];
    const tiles = columns.flatMap(({ start, stop }) =>
      Array.from({ length: planes }, (_, plane) => this.#compressed(strip, start, stop, plane, planes)),
    );
    const next = this.#levels[index + 1];
    const half = next && halve(values, width, height, channels, overviews);
    const first = (y / this.#tile.height) * level.across + x / TIFF_TILE_PX;
    for (const [i, compressed] of (await Promise.all(tiles)).entries()) {
      const at = first + Math.floor(i / planes);
      level.offsets[i % planes]![at] = this.file.position;
      level.byteCounts[i % planes]![at] = compressed.length;
      await this.file.append(compressed);
    }
    if (!next || !half) return;
    const halfWidth = Math.ceil(width / 2);
    for (let row = 0; row * 2 < height; row++) {
      const values = half.subarray(row * halfWidth * channels, (row + 1) * halfWidth * channels);
      const full = next.put(x / 2, halfWidth, y / 2 + row, values);
      if (full) await this.#write(index + 1, full);
    }
  }

  /** A tile of one plane, from columns `start` to `stop` of a strip. */
  #compressed(
    { width, height, values }: Strip,
    start: number,
    stop: number,
    plane: number,
    planes: number,
  ): Promise<Buffer> {
    const { channels, dtype } = this.format;
    const samples = channels / planes;
    const tile = new TYPES[dtype].array(this.#tile.width * this.#tile.height * samples);
    for (let row = 0; row < height; row++) {
      const from = (row * width + start) * channels;
      const to = row * TIFF_TILE_PX * samples;
      if (planes === 1) {
        tile.set(values.subarray(from, from + (stop - start) * channels), to);
      } else {
        for (let i = 0; i < stop - start; i++) tile[to + i] = values[from + i * channels + plane]!;
      }
    }
    return compress(new Uint8Array(tile.buffer), { level: LEVEL[dtype] });
  }

  #tags({ size, offsets, byteCounts }: Level, plane: number, reduced: boolean): Tag[] {
    const { channels, dtype, mpp, classes = [] } = this.format;
    const samples = channels / planesOf(this.format);
    const palette = channels === 1 && dtype === 'uint8' && classes.some(({ colour }) => colour !== null);
    const bits = TYPES[dtype].array.BYTES_PER_ELEMENT * 8;
    const short = (id: number, ...values: number[]): Tag => ({ id, type: SHORT, values });
    const tags = [
      { id: 254, type: LONG, values: [reduced ? 1 : 0] },
      { id: 256, type: LONG, values: [size.width] },
      { id: 257, type: LONG, values: [size.height] },
      short(258, ...Array<number>(samples).fill(bits)),
      short(259, 8), // compression: Adobe deflate
      short(262, palette ? 3 : samples === 3 ? 2 : 1), // photometric: palette, RGB, or 0 is black
      short(277, samples),
      short(284, 1), // planes interleaved
      { id: 322, type: LONG, values: [TIFF_TILE_PX] },
      { id: 323, type: LONG, values: [this.#tile.height] },
      { id: 324, type: LONG8, values: offsets[plane]! },
      { id: 325, type: LONG8, values: byteCounts[plane]! },
      short(339, ...Array<number>(samples).fill(dtype === 'float32' ? 3 : 1)),
    ];
    if (palette) tags.push(short(320, ...colourMap(classes)));
    if (mpp !== null) {
      const base = this.#levels[0]!.size;
      tags.push({ id: 282, type: RATIONAL, values: [(10_000 / mpp.x) * (size.width / base.width)] });
      tags.push({ id: 283, type: RATIONAL, values: [(10_000 / mpp.y) * (size.height / base.height)] });
      tags.push(short(296, 3)); // px per centimetre
    }
    return tags;
  }
}

/** How many images the file has: one of all channels, where they are colours, or else one a channel. */
const planesOf = ({ channels, dtype }: TiffFormat): number =>
  channels === 3 && (dtype === 'uint8' || dtype === 'uint16') ? 1 : channels;

/** Sizes of a pyramid's levels: each half of the one before, rounded up, until one tile holds it. */
export function levelSizes(size: Size): Size[] {
  const sizes = [size];
  for (let { width, height } = size; width > TIFF_TILE_PX || height > TIFF_TILE_PX; ) {
    [width, height] = [Math.ceil(width / 2), Math.ceil(height / 2)];
    sizes.push({ width, height });
  }
  return sizes;
}

/** Rows of pixels as high as the file's tiles, of one column block. */
interface Strip extends Rect {
  readonly values: Values;
}

/** A level of the pyramid: where its tiles are, and the rows that wait for the rest of theirs. */
class Level {
  readonly across: number;
  /** Of each plane, of each tile. */
  readonly offsets: number[][];
  readonly byteCounts: number[][];
  /** Rows of the current strip; of the whole level where it is narrower than tiles in a block. */
  #values: Values;
  #strip: Rect = { x: 0, y: 0, width: 0, height: 0 };
  #filled = 0;

  constructor(
    readonly size: Size,
    private readonly tile: Size,
    private readonly inMemory: boolean,
    private readonly format: TiffFormat,
  ) {
    this.across = Math.ceil(size.width / TIFF_TILE_PX);
    const tiles = this.across * Math.ceil(size.height / tile.height);
    const zeros = () => Array.from({ length: planesOf(format) }, () => Array<number>(tiles).fill(0));
    this.offsets = zeros();
    this.byteCounts = zeros();
    this.#values = this.#array(inMemory ? size.width * size.height : 0);
  }

  /** Takes a row of a column block; returns the strip that it completes. */
  put(x: number, width: number, y: number, row: Values): Strip | null {
    const { channels } = this.format;
    if (this.inMemory) {
      this.#values.set(row, (y * this.size.width + x) * channels);
      return null;
    }
    if (this.#filled === 0) {
      this.#strip = { x, y, width, height: Math.min(this.tile.height, this.size.height - y) };
      const { height } = this.#strip;
      if (this.#values.length !== width * height * channels) this.#values = this.#array(width * height);
    }
    this.#values.set(row, this.#filled * width * channels);
    if (++this.#filled < this.#strip.height) return null;
    this.#filled = 0;
    return { ...this.#strip, values: this.#values };
  }

  /** The strips of a level that was held in memory. */
  *held(): Generator<Strip> {
    const { width, height } = this.size;
    const row = width * this.format.channels;
    for (const { start, stop } of runs({ start: 0, stop: height }, this.tile.height)) {
      yield {
        x: 0,
        y: start,
        width,
        height: stop - start,
        values: this.#values.subarray(start * row, stop * row),
      };
    }
  }

  #array(pixels: number): Values {
    return new TYPES[this.format.dtype].array(pixels * this.format.channels);
  }
}

/** Reds, greens and blues of all 256 values, 16 bits each; clear classes are black. */
function colourMap(classes: readonly MaskClass[]): number[] {
  return [16, 8, 0].flatMap((shift) =>
    Array.from({ length: 256 }, (_, i) => {
      const colour = Number.parseInt(classes[i]?.colour?.slice(1) ?? '0', 16);
      return ((colour >> shift) & 255) * 257;
    }),
  );
}
