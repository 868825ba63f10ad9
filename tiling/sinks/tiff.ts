import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import { type Rect, runs, type Size } from '../geometry.js';
import { COLUMN_BLOCK_PX } from '../plan.js';
import type { PixelArray } from '../raster.js';
import type { MaskArray, MaskSink } from '../sink.js';
import type { Resolution } from '../source.js';
import { PartialFile } from './partial-file.js';

const compress = promisify(deflate);

/** Side of the file's own tiles; the TIFF wants a multiple of 16. */
const TILE_PX = 256;

export interface TiffFormat {
  /** Values a pixel, interleaved. */
  readonly channels: number;
  readonly dtype: 'uint8' | 'uint16' | 'float32';
  readonly resolution: Resolution | null;
}

const BYTES = { uint8: 1, uint16: 2, float32: 4 } as const;
const SAMPLE_FORMAT = { uint8: 1, uint16: 1, float32: 3 } as const;
/** Floats hardly compress at any level; the lowest is several times faster. */
const LEVEL = { uint8: 6, uint16: 6, float32: 1 } as const;

/**
 * A tiled, deflated BigTIFF. Memory holds one row of the file's tiles in one column block. Tiles are
 * written column block by column block, each from the top, from the left, whatever the bands were:
 * so the same pixels make the same bytes.
 */
export class TiffSink implements MaskSink {
  readonly #across: number;
  readonly #offsets: number[];
  readonly #byteCounts: number[];
  readonly #pixelBytes: number;
  /** The file's current row of tiles in the current column block: rows of pixels from `#rowTop` on. */
  #strip = new Uint8Array(0);
  #stripRect: Rect = { x: 0, y: 0, width: 0, height: 0 };
  #filled = 0;

  private constructor(
    private readonly file: PartialFile,
    private readonly size: Size,
    private readonly format: TiffFormat,
  ) {
    this.#across = Math.ceil(size.width / TILE_PX);
    const tiles = this.#across * Math.ceil(size.height / TILE_PX);
    this.#offsets = Array<number>(tiles).fill(0);
    this.#byteCounts = Array<number>(tiles).fill(0);
    this.#pixelBytes = format.channels * BYTES[format.dtype];
  }

  static async create(path: string, size: Size, format: TiffFormat): Promise<TiffSink> {
    const file = await PartialFile.create(path);
    await file.append(Buffer.alloc(16)); // the header, written last
    return new TiffSink(file, size, format);
  }

  async writeBand(rect: Rect, data: MaskArray | PixelArray): Promise<void> {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const bandRowBytes = rect.width * this.#pixelBytes;
    for (const { start, stop } of runs({ start: rect.x, stop: rect.x + rect.width }, COLUMN_BLOCK_PX)) {
      const rowBytes = (stop - start) * this.#pixelBytes;
      for (let row = 0; row < rect.height; row++) {
        if (this.#filled === 0) this.#open(start, stop - start, rect.y + row);
        const from = row * bandRowBytes + (start - rect.x) * this.#pixelBytes;
        this.#strip.set(bytes.subarray(from, from + rowBytes), this.#filled * rowBytes);
        if (++this.#filled === this.#stripRect.height) await this.#writeTiles();
      }
    }
  }

  async finish(): Promise<void> {
    await this.#writeDirectory();
    await this.file.commit();
  }

  async abort(): Promise<void> {
    await this.file.discard();
  }

  #open(x: number, width: number, y: number): void {
    this.#stripRect = { x, y, width, height: Math.min(TILE_PX, this.size.height - y) };
    const length = width * this.#stripRect.height * this.#pixelBytes;
    if (this.#strip.length !== length) this.#strip = new Uint8Array(length);
  }

  async #writeTiles(): Promise<void> {
    const { x, y, width, height } = this.#stripRect;
    this.#filled = 0;
    const tiles = [...runs({ start: 0, stop: width }, TILE_PX)].map(async (run) => {
      const tile = new Uint8Array(TILE_PX * TILE_PX * this.#pixelBytes);
      for (let row = 0; row < height; row++) {
        const from = (row * width + run.start) * this.#pixelBytes;
        const length = (run.stop - run.start) * this.#pixelBytes;
        tile.set(this.#strip.subarray(from, from + length), row * TILE_PX * this.#pixelBytes);
      }
      return compress(tile, { level: LEVEL[this.format.dtype] });
    });
    const first = (y / TILE_PX) * this.#across + x / TILE_PX;
    for (const [i, compressed] of (await Promise.all(tiles)).entries()) {
      this.#offsets[first + i] = this.file.position;
      this.#byteCounts[first + i] = compressed.length;
      await this.file.append(compressed);
    }
  }

  async #writeDirectory(): Promise<void> {
    const { channels, dtype, resolution } = this.format;
    const rgb = channels === 3 && dtype !== 'float32';
    const tags: Tag[] = [
      { id: 256, type: LONG, values: [this.size.width] },
      { id: 257, type: LONG, values: [this.size.height] },
      { id: 258, type: SHORT, values: Array<number>(channels).fill(BYTES[dtype] * 8) },
      { id: 259, type: SHORT, values: [8] }, // compression: Adobe deflate
      { id: 262, type: SHORT, values: [rgb ? 2 : 1] }, // photometric: RGB, or 0 is black
      { id: 277, type: SHORT, values: [channels] },
    ];
    if (resolution !== null) {
      tags.push({ id: 282, type: RATIONAL, values: [resolution.x] });
      tags.push({ id: 283, type: RATIONAL, values: [resolution.y] });
    }
    tags.push({ id: 284, type: SHORT, values: [1] }); // planes interleaved
    if (resolution !== null) tags.push({ id: 296, type: SHORT, values: [resolution.unit] });
    tags.push(
      { id: 322, type: LONG, values: [TILE_PX] },
      { id: 323, type: LONG, values: [TILE_PX] },
      { id: 324, type: LONG8, values: this.#offsets },
      { id: 325, type: LONG8, values: this.#byteCounts },
    );
    const extra = channels - (rgb ? 3 : 1);
    if (extra > 0) tags.push({ id: 338, type: SHORT, values: Array<number>(extra).fill(0) });
    tags.push({ id: 339, type: SHORT, values: Array<number>(channels).fill(SAMPLE_FORMAT[dtype]) });

    const { position } = this.file;
    await this.file.append(directory(tags, position));
    const header = Buffer.alloc(16);
    header.write('II', 0, 'latin1');
    header.writeUInt16LE(43, 2); // BigTIFF
    header.writeUInt16LE(8, 4); // bytes of an offset
    header.writeBigUInt64LE(BigInt(position), 8);
    await this.file.writeAt(header, 0);
  }
}

interface Tag {
  readonly id: number;
  readonly type: number;
  readonly values: readonly number[];
}
const SHORT = 3;
const LONG = 4;
const RATIONAL = 5;
const LONG8 = 16;
const TYPE_BYTES: Record<number, number> = { [SHORT]: 2, [LONG]: 4, [RATIONAL]: 8, [LONG8]: 8 };

/** A BigTIFF image file directory at `position`, with the values that do not fit in it behind it. */
function directory(tags: readonly Tag[], position: number): Buffer {
  const entries = Buffer.alloc(8 + 20 * tags.length + 8);
  entries.writeBigUInt64LE(BigInt(tags.length), 0);
  const behind: Buffer[] = [];
  let end = position + entries.length;
  for (const [i, { id, type, values }] of tags.entries()) {
    const at = 8 + 20 * i;
    const bytes = tagValues(type, values);
    entries.writeUInt16LE(id, at);
    entries.writeUInt16LE(type, at + 2);
    entries.writeBigUInt64LE(BigInt(values.length), at + 4);
    if (bytes.length <= 8) {
      entries.set(bytes, at + 12);
    } else {
      entries.writeBigUInt64LE(BigInt(end), at + 12);
      behind.push(bytes);
      end += bytes.length;
    }
  }
  return Buffer.concat([entries, ...behind]);
}

function tagValues(type: number, values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(TYPE_BYTES[type]! * values.length);
  for (const [i, value] of values.entries()) {
    if (type === SHORT) bytes.writeUInt16LE(value, 2 * i);
    else if (type === LONG) bytes.writeUInt32LE(value, 4 * i);
    else if (type === LONG8) bytes.writeBigUInt64LE(BigInt(value), 8 * i);
    else {
      const [numerator, denominator] = rational(value);
      bytes.writeUInt32LE(numerator, 8 * i);
      bytes.writeUInt32LE(denominator, 8 * i + 4);
    }
  }
  return bytes;
}

/** The fraction of two 32-bit integers nearest to a positive number, by continued fractions. */
export function rational(value: number): [number, number] {
  let [n0, d0, n1, d1] = [0, 1, 1, 0];
  for (let rest = value; ; ) {
    const whole = Math.floor(rest);
    const [n2, d2] = [whole * n1 + n0, whole * d1 + d0];
    if (n2 > 0xffffffff || d2 > 0xffffffff) return d1 === 0 ? [0xffffffff, 1] : [n1, d1];
    [n0, d0, n1, d1] = [n1, d1, n2, d2];
    if (rest === whole || n1 / d1 === value) return [n1, d1];
    rest = 1 / (rest - whole);
  }
}
