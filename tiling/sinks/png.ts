import { crc32 } from 'node:zlib';
import type { Rect, Size } from '../geometry.js';
import type { MaskArray, MaskSink } from '../sink.js';
import type { PixelSize } from '../source.js';
import { LABEL_DEFLATE } from './label-deflate.js';
import { PartialFile } from './partial-file.js';
import { type PngRows, pngRows } from './png-rows.js';

/** Chunks are written together up to this length. */
const WRITE_BYTES = 1 << 16;
const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

export interface PngFormat {
  /** 1 gray, 3 RGB. */
  readonly channels: 1 | 3;
  readonly mpp: PixelSize | null;
  /** Whether pixels are labels, which come in runs, instead of a picture. Default false. */
  readonly isLabels?: boolean;
}

/**
 * Writes an 8-bit PNG, gray or RGB, row by row. Its bytes depend on the pixels alone: zlib is fed, and IDAT
 * chunks are cut, in blocks of a fixed size. An image wider than one column block arrives block by block; its
 * pixels are buffered in a file until the rows are complete.
 */
export class PngSink implements MaskSink {
  readonly #rows: PngRows;
  /** Bytes that are not written yet, so that a small PNG is one write. */
  #held: Buffer;
  #columnBlocks: PartialFile | null = null;

  private constructor(
    private readonly path: string,
    private readonly file: PartialFile,
    private readonly size: Size,
    private readonly channels: 1 | 3,
    isLabels: boolean,
    head: Buffer,
  ) {
    this.#held = head;
    const options = isLabels ? LABEL_DEFLATE : { level: 6 };
    this.#rows = pngRows(size, size.width * channels, options, (block) => this.#append(chunk('IDAT', block)));
  }

  static async create(
    path: string,
    size: Size,
    { channels, mpp, isLabels = false }: PngFormat,
  ): Promise<PngSink> {
    const file = await PartialFile.create(path);
    const header = Buffer.alloc(13);
    header.writeUInt32BE(size.width, 0);
    header.writeUInt32BE(size.height, 4);
    header.set([8, channels === 1 ? 0 : 2], 8); // bit depth, colour type; then deflate, adaptive, no interlace
    const resolution = mpp === null ? [] : [chunk('pHYs', density(mpp))];
    const head = Buffer.concat([SIGNATURE, chunk('IHDR', header), ...resolution]);
    return new PngSink(path, file, size, channels, isLabels, head);
  }

  async writeBand(rect: Rect, data: MaskArray): Promise<void> {
    const rowBytes = rect.width * this.channels;
    const row = (y: number) => data.subarray(y * rowBytes, (y + 1) * rowBytes) as Uint8Array;
    if (rect.width === this.size.width) {
      for (let y = 0; y < rect.height; y++) await this.#rows.write(row(y));
      return;
    }
    this.#columnBlocks ??= await PartialFile.create(`${this.path}.blocks`);
    for (let y = 0; y < rect.height; y++) {
      await this.#columnBlocks.writeAt(row(y), ((rect.y + y) * this.size.width + rect.x) * this.channels);
    }
  }

  async finish(): Promise<void> {
    if (this.#columnBlocks) {
      const row = Buffer.alloc(this.size.width * this.channels);
      for (let y = 0; y < this.size.height; y++) {
        await this.#columnBlocks.handle.read(row, 0, row.length, y * row.length);
        await this.#rows.write(row);
      }
      await this.#columnBlocks.discard();
    }
    await this.#rows.finish();
    await this.#append(chunk('IEND', Buffer.alloc(0)));
    await this.file.append(this.#held);
    await this.file.commit();
  }

  async abort(): Promise<void> {
    await this.#rows.abort();
    await this.#columnBlocks?.discard();
    await this.file.discard();
  }

  async #append(bytes: Buffer): Promise<void> {
    const held = this.#held;
    if (held.length + bytes.length <= WRITE_BYTES) {
      this.#held = Buffer.concat([held, bytes]);
      return;
    }
    this.#held = bytes;
    await this.file.append(held);
  }
}

function chunk(type: string, data: Buffer): Buffer {
  const bytes = Buffer.alloc(data.length + 12);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, 'latin1');
  bytes.set(data, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, data.length + 8)), data.length + 8);
  return bytes;
}

/** pHYs: pixels per metre across and down. */
function density({ x, y }: PixelSize): Buffer {
  const bytes = Buffer.alloc(9);
  bytes.writeUInt32BE(Math.round(1e6 / x), 0);
  bytes.writeUInt32BE(Math.round(1e6 / y), 4);
  bytes[8] = 1;
  return bytes;
}
