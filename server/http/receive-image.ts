import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import busboy from 'busboy';
import type { Request } from 'express';
import { RequestError } from '../contract/errors.js';
import type { Reservation, StoredItem, Transfers } from './transfers.js';

export interface UploadLimits {
  /** Maximum size of a body, in bytes. */
  readonly maxBytes: number;
  /** The limits shared by all uploads. */
  readonly transfers: Transfers;
}

/** An image that was received as a file. */
export interface ReceivedImage {
  readonly bytes: number;
  readonly sha256: string;
  readonly name: string | null;
}

type Written = Omit<ReceivedImage, 'name'>;

/** Chunks are collected up to this many bytes, or this many chunks, and written together. */
const MAX_PENDING = { bytes: 1 << 20, pieces: 64 } as const;
/** The multipart field that carries the image. */
const FIELD = 'image';

/**
 * Streams a request's image to a file: the body itself, or the file of the multipart field `image`.
 *
 * @param of the job or upload that its bytes count for
 * @returns its size, its SHA-256, and the name that a multipart body gives it
 * @throws RequestError `too-large`, `bad-request`, `busy`, `disk-full`, `quota-exceeded`, `stalled`, or `cancelled` if
 *   the client disconnects
 */
export async function receiveImage(
  request: Request,
  path: string,
  of: StoredItem,
  limits: UploadLimits,
): Promise<ReceivedImage> {
  const { maxBytes } = limits;
  const length = Number(request.headers['content-length'] ?? 0);
  return receive(request, of, length, limits, async (space) => {
    if (request.is('multipart/form-data')) return receiveField(request, path, maxBytes, space);
    return { ...(await writeBody(chunksOf(request), path, maxBytes, space)), name: null };
  });
}

/**
 * Writes chunks of a request's body, as they arrive, to a file.
 * @param bytes of all chunks
 * @throws RequestError as `receiveImage`
 */
export function receiveChunks(
  request: Request,
  chunks: AsyncIterable<Buffer>,
  bytes: number,
  path: string,
  of: StoredItem,
  limits: UploadLimits,
): Promise<ReceivedImage> {
  return receive(request, of, bytes, limits, async (space) => ({
    ...(await writeBody(chunks, path, limits.maxBytes, space)),
    name: null,
  }));
}

async function receive(
  request: Request,
  of: StoredItem,
  length: number,
  { maxBytes, transfers }: UploadLimits,
  write: (space: Reservation) => Promise<ReceivedImage>,
): Promise<ReceivedImage> {
  if (length > maxBytes) throw tooLarge(maxBytes);
  return transfers.withPlace(of.owner, async () => {
    const space = await transfers.reserve(of, length);
    try {
      return await write(space);
    } catch (error) {
      throw withDisconnection(request, error);
    } finally {
      space.release();
    }
  });
}

/** The chunks of a body. The connection stays open for the response if reading stops early. */
export const chunksOf = (stream: Readable): AsyncIterableIterator<Buffer> =>
  stream.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;

/** The error of a body: `cancelled` if the client disconnected. */
export function withDisconnection(request: IncomingMessage, error: unknown): unknown {
  const isOurs = error instanceof RequestError;
  return !isOurs && isDisconnected(request)
    ? new RequestError('cancelled', 'the client disconnected')
    : error;
}

async function writeBody(
  chunks: AsyncIterable<Buffer>,
  path: string,
  maxBytes: number,
  space: Reservation,
): Promise<Written> {
  const file = await open(path, 'w');
  try {
    let bytes = 0;
    let written = 0;
    let pending: Buffer[] = [];
    const hash = createHash('sha256');
    let writing: Promise<unknown> = Promise.resolve(); // some chunks, while the next ones are received
    for await (const chunk of chunks) {
      const { length } = chunk;
      bytes += length;
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      await space.take(length);
      hash.update(chunk);
      pending.push(chunk);
      if (bytes - written < MAX_PENDING.bytes && pending.length < MAX_PENDING.pieces) continue;
      await writing;
      writing = writeAll(file, pending);
      writing.catch(() => undefined); // thrown where it is awaited
      written = bytes;
      pending = [];
    }
    await writing;
    await writeAll(file, pending);
    return { bytes, sha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}

async function writeAll(file: FileHandle, pieces: readonly Buffer[]): Promise<void> {
  if (pieces.length === 0) return;
  const { bytesWritten } = await file.writev(pieces);
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  // A write may be short, on a full disk for example; writing the rest then reports why.
  if (bytesWritten < length) await file.writeFile(Buffer.concat(pieces).subarray(bytesWritten));
}

async function receiveField(
  request: Request,
  path: string,
  maxBytes: number,
  space: Reservation,
): Promise<ReceivedImage> {
  const parser = multipartParser(request);
  let writing: Promise<Written> | null = null;
  let fileName: string | null = null;
  const parsed = new Promise<Written | null>((resolve, reject) => {
    parser.on('file', (name, stream, { filename }) => {
      if (name !== FIELD) {
        stream.resume();
        return;
      }
      // The parser may fail the stream before it is read; without a listener, that would crash the process.
      stream.on('error', reject);
      fileName = filename ?? null;
      writing = writeBody(chunksOf(stream), path, maxBytes, space);
      writing.catch(reject);
    });
    parser.on('close', () => resolve(writing));
    parser.on('error', reject);
    request.on('error', reject);
    const checkConnection = () => isDisconnected(request) && reject(new Error('the client disconnected'));
    request.on('close', checkConnection);
    checkConnection(); // it may have closed while disk space was reserved: no event comes any more
  });
  request.pipe(parser);
  let written: Written | null;
  try {
    written = await parsed;
  } catch (error) {
    // Errors of the file system, and our own, have a code; the parser's have none.
    throw 'code' in (error as Error) || isDisconnected(request) ? error : unparsable(error);
  } finally {
    request.unpipe(parser);
    parser.destroy(); // ends a file that it is in the middle of
    await Promise.resolve(writing).catch(() => undefined);
  }
  if (written === null) {
    throw new RequestError('bad-request', `the multipart body has no file named "${FIELD}"`);
  }
  return { ...written, name: fileName };
}

/** Whether the client disconnected. A body that was read to its end is destroyed as well, but complete. */
const isDisconnected = (request: IncomingMessage): boolean => request.destroyed && !request.complete;

function multipartParser(request: Request): busboy.Busboy {
  try {
    return busboy({ headers: request.headers, limits: { files: 1, fields: 16 } });
  } catch (cause) {
    throw unparsable(cause);
  }
}

function unparsable(cause: unknown): RequestError {
  const message = `the multipart body cannot be read: ${(cause as Error).message}`;
  return new RequestError('bad-request', message, { cause });
}

function tooLarge(maxBytes: number): RequestError {
  return new RequestError('too-large', `the body is larger than the limit of ${maxBytes} bytes`);
}
