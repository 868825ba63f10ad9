import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { AsyncReadable, RangeQuery } from 'zarrita';
import { CorruptImageError, SourceUnreachableError, UnsupportedImageError } from '../../errors.js';
import { bodyOf, fetchWithin } from '../web.js';
import { checkDocument } from './metadata.js';

/** The largest JSON document, or index of a shard. */
const MAX_METADATA_BYTES = 16 << 20;

type Options = { readonly signal?: AbortSignal };

/**
 * Reads a Zarr's documents and chunks. Keys are made of names from the Zarr itself: each is checked to stay inside
 * it, and the size of what it refers to is limited before it is read.
 */
export abstract class ZarrStore implements AsyncReadable {
  /** Limit for a stored chunk; set once the arrays are known. */
  maxChunkBytes = 0;

  async get(key: string, { signal }: Options = {}): Promise<Uint8Array | undefined> {
    const isMetadata = /\/(zarr\.json|\.z(array|group|attrs|metadata))$/.test(key);
    const maxBytes = isMetadata ? MAX_METADATA_BYTES : this.maxChunkBytes;
    const names = segmentsOf(key);
    const bytes = await this.read(names, maxBytes, signal);
    if (bytes) checkDocument(names.at(-1)!, bytes);
    return bytes;
  }

  async getRange(key: string, range: RangeQuery, { signal }: Options = {}): Promise<Uint8Array | undefined> {
    const [length, maxBytes] =
      'suffixLength' in range ? [range.suffixLength, MAX_METADATA_BYTES] : [range.length, this.maxChunkBytes];
    const offset = 'suffixLength' in range ? 0 : range.offset;
    if (!Number.isSafeInteger(length) || length < 1 || !Number.isSafeInteger(offset) || offset < 0) {
      throw new CorruptImageError('the Zarr has a shard whose index is damaged');
    }
    if (length > maxBytes) throw tooLarge(length, maxBytes);
    return this.readRange(segmentsOf(key), 'suffixLength' in range ? null : offset, length, signal);
  }

  /**
   * Reads an object; undefined where there is none.
   * @throws CorruptImageError for more than `maxBytes` bytes
   */
  protected abstract read(
    names: readonly string[],
    maxBytes: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined>;

  /** Reads exactly `length` bytes at an offset, or the last ones for `null`; undefined where there is no object. */
  protected abstract readRange(
    names: readonly string[],
    offset: number | null,
    length: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined>;
}

const tooLarge = (bytes: number, maxBytes: number): CorruptImageError =>
  new CorruptImageError(`the Zarr holds an object of ${bytes} bytes; at most ${maxBytes} are expected`);
const truncated = (): CorruptImageError => new CorruptImageError('the Zarr has a truncated shard');

/**
 * Splits a key into names.
 * @throws CorruptImageError for a key that a file system or a web server could resolve outside the Zarr
 */
function segmentsOf(key: string): readonly string[] {
  const names = key.split('/').slice(1);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are refused
  const isUnsafe = (name: string) => name === '' || /^\.\.?$/.test(name) || /[\\%?#\x00-\x1f]/.test(name);
  if (key[0] !== '/' || key.length > 1024 || names.some(isUnsafe)) {
    throw new CorruptImageError(`the Zarr refers to something outside: ${JSON.stringify(key.slice(0, 80))}`);
  }
  return names;
}

/** A Zarr in a folder. Symbolic links may point anywhere inside it, and nowhere else. */
export class FolderStore extends ZarrStore {
  readonly #root: Promise<string>;

  constructor(folder: string) {
    super();
    this.#root = realpath(folder);
    this.#root.catch(() => undefined); // reported by the first read
  }

  protected read(names: readonly string[], maxBytes: number, signal?: AbortSignal) {
    return this.#open(names, signal, async (file, size) => {
      if (size > maxBytes) throw tooLarge(size, maxBytes);
      return file(0, size);
    });
  }

  protected readRange(names: readonly string[], offset: number | null, length: number, signal?: AbortSignal) {
    return this.#open(names, signal, async (file, size) => {
      const start = offset ?? size - length;
      if (start < 0 || start + length > size) throw truncated();
      return file(start, length);
    });
  }

  async #open(
    names: readonly string[],
    signal: AbortSignal | undefined,
    use: (read: (offset: number, length: number) => Promise<Uint8Array>, size: number) => Promise<Uint8Array>,
  ): Promise<Uint8Array | undefined> {
    signal?.throwIfAborted();
    const root = await this.#root;
    const missing = (error: NodeJS.ErrnoException): undefined => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
      throw new CorruptImageError(`the Zarr cannot be read: ${error.code}`, { cause: error });
    };
    const path = await realpath(join(root, ...names)).catch(missing);
    if (path === undefined) return undefined;
    if (!path.startsWith(root + sep)) {
      throw new CorruptImageError(
        `the Zarr refers to something outside its folder, by a link: "${names.join('/')}"`,
      );
    }
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(missing);
    if (file === undefined) return undefined;
    try {
      const stats = await file.stat();
      if (!stats.isFile())
        throw new CorruptImageError(`the Zarr has something other than a file: "${names.join('/')}"`);
      return await use(async (offset, length) => {
        const bytes = new Uint8Array(length);
        const { bytesRead } = await file.read(bytes, 0, length, offset);
        if (bytesRead < length) throw truncated();
        return bytes;
      }, stats.size);
    } finally {
      await file.close();
    }
  }
}

/** A Zarr on a web server. */
export class WebStore extends ZarrStore {
  readonly #root: URL;

  constructor(address: string) {
    super();
    this.#root = new URL(address);
    this.#root.hash = '';
    if (!this.#root.pathname.endsWith('/')) this.#root.pathname += '/';
  }

  protected async read(names: readonly string[], maxBytes: number, signal?: AbortSignal) {
    const response = await this.#fetch(names, {}, signal);
    return response && this.#bodyOf(response, maxBytes, signal);
  }

  protected async readRange(
    names: readonly string[],
    offset: number | null,
    length: number,
    signal?: AbortSignal,
  ) {
    const start = offset ?? (await this.#lengthOf(names, signal)) - length;
    if (Number.isNaN(start)) return undefined;
    if (start < 0) throw truncated();
    const range = { Range: `bytes=${start}-${start + length - 1}` };
    const response = await this.#fetch(names, range, signal);
    if (response?.status === 200) {
      await response.body?.cancel();
      throw new UnsupportedImageError(
        "the Zarr has shards, but the image's server does not support range requests",
      );
    }
    const bytes = response && (await this.#bodyOf(response, length, signal));
    if (bytes && bytes.length < length) throw truncated();
    return bytes;
  }

  async #bodyOf(response: Response, maxBytes: number, signal?: AbortSignal): Promise<Uint8Array> {
    const claimed = Number(response.headers.get('content-length') ?? 0);
    const bytes = claimed > maxBytes ? null : await bodyOf(response, maxBytes, signal);
    if (bytes !== null) return bytes;
    await response.body?.cancel().catch(() => undefined);
    throw tooLarge(Math.max(claimed, maxBytes + 1), maxBytes);
  }

  /** The length of an object; NaN where there is none. */
  async #lengthOf(names: readonly string[], signal?: AbortSignal): Promise<number> {
    const response = await this.#fetch(names, {}, signal, 'HEAD');
    const length = response?.headers.get('content-length');
    if (response && !length) {
      throw new SourceUnreachableError("the image's server does not state the length of a shard");
    }
    return Number(length ?? Number.NaN);
  }

  async #fetch(
    names: readonly string[],
    headers: Record<string, string>,
    signal?: AbortSignal,
    method: 'GET' | 'HEAD' = 'GET',
  ): Promise<Response | undefined> {
    const url = new URL(this.#root);
    url.pathname += names.map(encodeURIComponent).join('/');
    const response = await fetchWithin(url, { scope: this.#root, method, headers, signal });
    if (response.status === 200 || response.status === 206) return response;
    await response.body?.cancel();
    if (response.status === 404) return undefined;
    throw new SourceUnreachableError(`the image's server responded with ${response.status}`);
  }
}
