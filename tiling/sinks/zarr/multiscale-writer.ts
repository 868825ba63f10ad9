import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip, type ZlibOptions } from 'node:zlib';
import { type Rect, runs, type Size } from '../../geometry.js';
import type { Values } from '../halve.js';
import { LABEL_DEFLATE } from '../label-deflate.js';
import { Pyramid, type PyramidStrip, pyramidSizes } from '../pyramid.js';
import { type ArrayWriter, ChunkFiles, type EncodedChunk, ShardFiles } from './array-writer.js';
import { type Axis, arrayDocuments } from './documents.js';
import { chunkPxOf, gridOf, type NgffVersion, ZARR_TYPES, type ZarrFormat } from './format.js';
import { writeDocuments } from './write-documents.js';

const compress = promisify(gzip);
/** Where gzip's header names the system that has compressed, which zlib states and nobody reads. 255: unknown. */
const GZIP_OS = 9;

/** The arrays of a pyramid: where they are, and what is in front of their rows and columns. */
export interface PyramidArrays {
  readonly version: NgffVersion;
  readonly axes: readonly Axis[];
  /** Lengths of the axes before y and x, but for c, which the format states. */
  readonly lengths: Readonly<Record<string, number>>;
  /** How many levels there are. Default: see `PyramidFormat`. */
  readonly levels?: number;
  /** Whether files are synced to the disk as they are written. */
  readonly isDurable: boolean;
}

/**
 * Writes the arrays of a pyramid, `0`, `1`, …, into a folder, from the bands of a mask. Chunks and files depend on the
 * pixels alone.
 */
export class MultiscaleWriter {
  readonly sizes: readonly Size[];
  readonly #chunkPx: number;
  readonly #arrays: readonly ArrayWriter[];
  readonly #zeros: Uint8Array;
  /** The pixels of a row of chunks while they are compressed; the next row reuses their arrays. */
  readonly #chunks: Values[] = [];
  #pyramid: Pyramid;
  #indices: Readonly<Record<string, number>> = {};

  private constructor(
    folder: string,
    private readonly size: Size,
    private readonly format: ZarrFormat,
    private readonly arrays: PyramidArrays,
  ) {
    const { version, isDurable } = arrays;
    const chunkPx = chunkPxOf(format, version);
    this.#chunkPx = chunkPx;
    this.sizes = pyramidSizes(size, { tilePx: chunkPx, levels: arrays.levels });
    this.#arrays = this.sizes.map((level, i) => {
      const { shard } = gridOf(level, chunkPx, version);
      const own = join(folder, String(i));
      if (!shard) return new ChunkFiles(own, isDurable);
      const chunks = { width: shard.width / chunkPx, height: shard.height / chunkPx };
      return new ShardFiles(own, { size: level, chunkPx }, chunks, isDurable);
    });
    this.#zeros = new Uint8Array(chunkPx ** 2 * ZARR_TYPES[format.dtype].bytes);
    this.#pyramid = this.#newPyramid();
  }

  /** Creates the arrays' folders and documents. */
  static async create(
    folder: string,
    size: Size,
    format: ZarrFormat,
    arrays: PyramidArrays,
  ): Promise<MultiscaleWriter> {
    const writer = new MultiscaleWriter(folder, size, format, arrays);
    const { version, axes, lengths, isDurable } = arrays;
    for (const [i, level] of writer.sizes.entries()) {
      const own = join(folder, String(i));
      await mkdir(own, { recursive: true });
      const lengthOf: Readonly<Record<string, number>> = {
        ...lengths,
        c: format.channels,
        y: level.height,
        x: level.width,
      };
      const shape = axes.map(({ name }) => lengthOf[name] ?? 1);
      const grid = gridOf(level, writer.#chunkPx, version);
      await writeDocuments(
        own,
        arrayDocuments(version, { shape, axes, dtype: format.dtype, grid }),
        isDurable,
      );
    }
    return writer;
  }

  /** Takes a band of the plane that was begun last. */
  writeBand(rect: Rect, data: Values): Promise<void> {
    return this.#pyramid.writeBand(rect, data);
  }

  /** Begins a plane: its indices by the names of the axes, 0 for those that are not named. */
  begin(indices: Readonly<Record<string, number>>): void {
    this.#indices = indices;
    this.#pyramid = this.#newPyramid();
  }

  /** Ends a plane: writes what is buffered of it. */
  end(): Promise<void> {
    return this.#pyramid.finish();
  }

  #newPyramid(): Pyramid {
    const { channels, dtype, isLabels } = this.format;
    const { array } = ZARR_TYPES[dtype];
    const overviews = isLabels ? 'majority' : 'mean';
    const format = { channels, array, overviews, tilePx: this.#chunkPx, levels: this.sizes.length } as const;
    return new Pyramid(this.size, format, (level, strip) => this.#writeStrip(level, strip));
  }

  /** Writes the chunks of a strip, channel by channel. */
  async #writeStrip(level: number, strip: PyramidStrip): Promise<void> {
    const row = strip.y / this.#chunkPx;
    for (let channel = 0; channel < this.format.channels; channel++) {
      const encoding: Promise<EncodedChunk>[] = [];
      for (const { start, stop } of runs({ start: 0, stop: strip.width }, this.#chunkPx)) {
        const column = (strip.x + start) / this.#chunkPx;
        const chunk = (this.#chunks[encoding.length] ??= new ZARR_TYPES[this.format.dtype].array(
          this.#chunkPx ** 2,
        ));
        this.#cut(strip, start, stop, channel, chunk);
        encoding.push(this.#encode(chunk, column));
      }
      const named: Readonly<Record<string, number>> = { ...this.#indices, c: channel };
      const indices = this.arrays.axes.slice(0, -2).map(({ name }) => named[name] ?? 0);
      await this.#arrays[level]!.writeChunks(indices, row, await Promise.all(encoding));
    }
  }

  /** Copies one channel of some columns of a strip into a chunk; what lies beyond the image is 0. */
  #cut(
    { width, height, values }: PyramidStrip,
    start: number,
    stop: number,
    channel: number,
    chunk: Values,
  ): void {
    const { channels } = this.format;
    if (stop - start < this.#chunkPx || height < this.#chunkPx) chunk.fill(0);
    for (let row = 0; row < height; row++) {
      const from = (row * width + start) * channels;
      const to = row * this.#chunkPx;
      if (channels === 1) chunk.set(values.subarray(from, from + stop - start), to);
      else {
        for (let i = 0; i < stop - start; i++) chunk[to + i] = values[from + i * channels + channel]!;
      }
    }
  }

  async #encode({ buffer }: Values, column: number): Promise<EncodedChunk> {
    const values = new Uint8Array(buffer);
    if (Buffer.compare(values, this.#zeros) === 0) return { column, bytes: null };
    const bytes = await compress(values, optionsOf(this.format));
    bytes[GZIP_OS] = 255;
    return { column, bytes };
  }
}

/** Floats hardly compress at any level; the lowest is several times faster. */
function optionsOf({ dtype, isLabels }: ZarrFormat): ZlibOptions {
  if (dtype === 'uint8' && isLabels) return LABEL_DEFLATE;
  return { level: dtype === 'float32' ? 1 : 6 };
}
