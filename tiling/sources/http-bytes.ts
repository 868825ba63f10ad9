import { BaseClient, BaseResponse, fromCustomClient } from 'geotiff';
import { CorruptImageError, SourceUnreachableError } from '../errors.js';
import type { Bytes } from './bytes.js';
import { bodyOf, fetchWithin } from './web.js';

/** Bytes are requested in blocks, which are cached. */
const BLOCK_BYTES = 1 << 16;
const CACHED_BLOCKS = 512;
/** Blocks of one response: those of the largest chunk, or of the longest list of chunks. */
const MAX_BLOCKS = 1030;

class RangeResponse extends BaseResponse {
  constructor(
    private readonly response: Response,
    private readonly data: Uint8Array<ArrayBuffer>,
  ) {
    super();
  }

  override get status(): number {
    return this.response.status;
  }

  override getHeader(name: string): string | undefined {
    return this.response.headers.get(name) ?? undefined;
  }

  override async getData(): Promise<ArrayBuffer> {
    return this.data.buffer;
  }
}

/**
 * Requests ranges of one file, which must not change meanwhile. Follows no redirect: only this host has been
 * allowed.
 */
class RangeClient extends BaseClient {
  length = 0;
  #etag: string | null = null;

  constructor(
    private readonly address: string,
    private readonly signal: AbortSignal | undefined,
  ) {
    super(address);
  }

  /** The first error of a request: the block cache hides it behind one of its own. */
  failure: Error | null = null;

  override async request(options: { headers?: Record<string, string> } = {}): Promise<BaseResponse> {
    try {
      return await this.#fetch(options);
    } catch (error) {
      this.failure ??= error as Error;
      throw error;
    }
  }

  async #fetch({ headers }: { headers?: Record<string, string> }): Promise<BaseResponse> {
    const url = new URL(this.address);
    const response = await fetchWithin(url, { scope: url, headers: headers ?? {}, signal: this.signal });
    if (response.status === 200) {
      await response.body?.cancel();
      throw new SourceUnreachableError("the image's server does not support range requests");
    }
    if (response.status !== 206) {
      await response.body?.cancel();
      throw new SourceUnreachableError(`the image's server responded with ${response.status}`);
    }
    const etag = response.headers.get('etag');
    if (this.#etag !== null && etag !== this.#etag)
      throw new CorruptImageError('the image changed while it was read');
    this.#etag = etag;
    const [first, last, length] = numbersOf(
      /^bytes (\d+)-(\d+)\/(\d+)$/,
      response.headers.get('content-range'),
    );
    const [from, to] = numbersOf(/^bytes=(\d+)-(\d+)$/, headers?.Range);
    if (!length) {
      await response.body?.cancel();
      throw new SourceUnreachableError("the image's server does not state its length");
    }
    this.length = length;
    const body = await bodyOf(response, MAX_BLOCKS * BLOCK_BYTES, this.signal);
    const same = first === from && last === Math.min(to!, length - 1);
    if (body === null || !same || body.length !== last - first! + 1) {
      throw new SourceUnreachableError("the image's server sent another range than requested");
    }
    return new RangeResponse(response, new Uint8Array(body));
  }
}

const numbersOf = (form: RegExp, text: string | null | undefined): number[] =>
  (form.exec(text ?? '') ?? []).slice(1).map(Number);

/**
 * Blocks that are being fetched. geotiff fetches those that failed again, together with whatever is read next, but
 * awaits only the latter: an unhandled rejection would end the process.
 */
class HandledRequests extends Map<number, Promise<void>> {
  override set(block: number, request: Promise<void>): this {
    request.catch(() => undefined);
    return super.set(block, request);
  }
}

/**
 * Opens a TIFF on a web server, to be read by HTTP ranges (RFC 9110, section 14), through geotiff's cache of blocks.
 *
 * @throws SourceUnreachableError for a server that does not respond, or not by ranges
 */
export async function httpBytes(address: string, signal?: AbortSignal): Promise<Bytes> {
  const client = new RangeClient(address, signal);
  // geotiff's own types lack these options.
  const blocks = { blockSize: BLOCK_BYTES, cacheSize: CACHED_BLOCKS } as Parameters<
    typeof fromCustomClient
  >[1];
  const { source } = await fromCustomClient(client, blocks).catch((cause: Error) => {
    signal?.throwIfAborted();
    throw (
      client.failure ?? new CorruptImageError(`there is no TIFF at the address: ${cause.message}`, { cause })
    );
  });
  (source as unknown as { blockRequests: Map<number, Promise<void>> }).blockRequests = new HandledRequests();
  const { length } = client;
  return {
    length,
    async read(offset, count) {
      if (offset + count > length) {
        throw new CorruptImageError(`the file is truncated: ${count} bytes at ${offset} of ${length}`);
      }
      const [data] = await source.fetch([{ offset, length: count }]).catch((error: unknown) => {
        signal?.throwIfAborted();
        throw client.failure ?? error;
      });
      return Buffer.from(data as ArrayBuffer);
    },
    async close() {},
  };
}
