import { once } from 'node:events';
import { promisify } from 'node:util';
import { createDeflate, type Deflate, deflate, type ZlibOptions } from 'node:zlib';
import type { Size } from '../geometry.js';

/** Compresses the rows of a PNG, each behind its filter type: none. */
export interface PngRows {
  write(row: Uint8Array): Promise<void>;
  /** Resolves when all has been emitted. */
  finish(): Promise<void>;
  abort(): Promise<void>;
}

/** Receives the compressed rows, in blocks of `BLOCK_BYTES`. */
type Emit = (block: Buffer) => Promise<void>;

/** Length of the blocks that zlib is fed and that are emitted, in bytes. */
const BLOCK_BYTES = 1 << 16;
/** Images of no more bytes are compressed at once: a stream costs more than they do. */
const AT_ONCE_BYTES = 1 << 20;
/** The filter type of each row: none, which suits labels best, whose neighbouring bytes are equal. */
const NO_FILTER = Uint8Array.of(0);

/** @param rowBytes length of a row, without its filter type */
export function pngRows(
  { height }: Pick<Size, 'height'>,
  rowBytes: number,
  options: ZlibOptions,
  emit: Emit,
): PngRows {
  const bytes = (1 + rowBytes) * height;
  return bytes <= AT_ONCE_BYTES ? new RowsAtOnce(bytes, options, emit) : new StreamedRows(options, emit);
}

/** Cuts a stream of bytes into blocks of one size, so that the output does not depend on how it was fed. */
class Blocks {
  #block = Buffer.allocUnsafe(0);
  #filled = 0;

  constructor(private readonly emit: Emit) {}

  async push(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#block.length === 0) this.#block = Buffer.allocUnsafe(BLOCK_BYTES);
      const length = Math.min(bytes.length - at, this.#block.length - this.#filled);
      this.#block.set(bytes.subarray(at, at + length), this.#filled);
      this.#filled += length;
      at += length;
      if (this.#filled === this.#block.length) await this.flush();
    }
  }

  /** Emits the block as far as it is filled; the next one is another buffer. */
  async flush(): Promise<void> {
    const block = this.#block.subarray(0, this.#filled);
    this.#block = Buffer.allocUnsafe(0);
    this.#filled = 0;
    if (block.length > 0) await this.emit(block);
  }
}

class StreamedRows implements PngRows {
  readonly #deflate: Deflate;
  readonly #filtered = new Blocks(async (block) => {
    if (this.#deflate.destroyed) await this.#emitted; // a block could not be emitted: throws why
    if (this.#deflate.write(block)) return;
    await once(this.#deflate, 'drain').catch(async (error: unknown) => {
      await this.#emitted;
      throw error;
    });
  });
  readonly #emitted: Promise<void>;

  constructor(options: ZlibOptions, emit: Emit) {
    this.#deflate = createDeflate(options);
    this.#emitted = this.#emitAll(new Blocks(emit));
    this.#emitted.catch(() => undefined); // awaited by finish and abort
  }

  async write(row: Uint8Array): Promise<void> {
    await this.#filtered.push(NO_FILTER);
    await this.#filtered.push(row);
  }

  async finish(): Promise<void> {
    await this.#filtered.flush();
    this.#deflate.end();
    await this.#emitted;
  }

  async abort(): Promise<void> {
    this.#deflate.destroy();
    await this.#emitted.catch(() => undefined);
  }

  async #emitAll(compressed: Blocks): Promise<void> {
    for await (const bytes of this.#deflate) await compressed.push(bytes as Buffer);
    await compressed.flush();
  }
}

class RowsAtOnce implements PngRows {
  readonly #filtered: Buffer;
  #filled = 0;

  constructor(
    bytes: number,
    private readonly options: ZlibOptions,
    private readonly emit: Emit,
  ) {
    this.#filtered = Buffer.allocUnsafe(bytes);
  }

  async write(row: Uint8Array): Promise<void> {
    this.#filtered.set(NO_FILTER, this.#filled);
    this.#filtered.set(row, this.#filled + NO_FILTER.length);
    this.#filled += NO_FILTER.length + row.length;
  }

  async finish(): Promise<void> {
    const compressed = new Blocks(this.emit);
    await compressed.push(
      await promisify<Buffer, ZlibOptions, Buffer>(deflate)(this.#filtered, this.options),
    );
    await compressed.flush();
  }

  async abort(): Promise<void> {}
}
