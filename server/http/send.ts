import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { finished } from 'node:stream/promises';
import type { Request, Response } from 'express';
import type { ArchiveCache } from '../../tiling/zip/archive-cache.js';
import { RequestError } from '../contract/errors.js';
import { disconnection } from './disconnection.js';

export interface FileResponse {
  readonly type: string;
  /** Identifies the bytes: the same tag, the same bytes. Null for a result that is sent only once. */
  readonly etag: string | null;
  /** A client that reads nothing for this long is disconnected, in ms. */
  readonly idleTimeoutMs: number;
  /** Called with the bytes that were sent, whether or not all of them were. Default: not called. */
  readonly onSent?: (bytes: number) => void;
}

/** Length of the pieces that a file is read in. */
const PIECE_BYTES = 1 << 16;

/**
 * Sends a file that no longer changes, or the part of it that `Range` requests, unless the client has it already
 * (`If-None-Match`). A client that disconnects is no error.
 * @throws RequestError `bad-range`
 */
export async function sendFile(
  request: Request,
  response: Response,
  path: string,
  options: FileResponse,
): Promise<void> {
  const file = await open(path);
  try {
    await sendOpenFile(request, response, file, options);
  } finally {
    await file.close();
  }
}

/** A file of an archive. */
export interface ArchivedName {
  /** Of the archive. */
  readonly path: string;
  /** Of the file in it. */
  readonly name: string;
  /** The lists of files of archives that were read before. */
  readonly cache: ArchiveCache;
}

/**
 * Sends a file of an archive that no longer changes, or the part of it that `Range` requests, as `sendFile` sends one
 * that is there by itself.
 * @throws RequestError `not-found` where the archive has no such file, `bad-range`
 */
export async function sendArchived(
  request: Request,
  response: Response,
  { path, name, cache }: ArchivedName,
  options: FileResponse,
): Promise<void> {
  // A client that names the tag of a file has that file: it need not be found.
  if (request.get('If-None-Match') !== '*' && sendUnchanged(request, response, options)) return;
  for (const name of ['ETag', 'Accept-Ranges']) response.removeHeader(name); // until it is known that there is one
  const file = await open(path);
  try {
    const part = (await cache.filesOf(path, file)).find(name);
    if (part === null) throw new RequestError('not-found', `the result has no file "${name}"`);
    await sendOpenFile(request, response, file, options, part);
  } finally {
    await file.close();
  }
}

/**
 * Sets what a response says of a file, and ends it where the client has that file already.
 * @returns whether it has
 */
function sendUnchanged(
  request: Request,
  response: Response,
  { type, etag }: Pick<FileResponse, 'type' | 'etag'>,
): boolean {
  response.set('Content-Type', type);
  if (etag === null) return false;
  response.set({ ETag: `"${etag}"`, 'Accept-Ranges': 'bytes' });
  const isUnchanged = request.fresh;
  if (isUnchanged) response.status(304).end();
  return isUnchanged;
}

/** @param part of the file that is sent as if it were the whole. Default: all of it */
async function sendOpenFile(
  request: Request,
  response: Response,
  file: FileHandle,
  { type, etag, idleTimeoutMs, onSent }: FileResponse,
  part: { readonly start: number; readonly length: number } | null = null,
): Promise<void> {
  const { start: from, length: size } = part ?? { start: 0, length: (await file.stat()).size };
  if (sendUnchanged(request, response, { type, etag })) return;
  let [start, end] = [0, size - 1];
  if (etag !== null) {
    const ifRange = request.get('If-Range');
    const ranges = ifRange === undefined || ifRange === `"${etag}"` ? request.range(size) : undefined;
    if (ranges === -1) {
      response.set('Content-Range', `bytes */${size}`);
      throw new RequestError('bad-range', `the file has ${size} bytes, none of which "Range" covers`);
    }
    // The response to a request for several ranges may be the whole file (RFC 9110, section 14.2).
    if (Array.isArray(ranges) && ranges.type === 'bytes' && ranges.length === 1) {
      ({ start, end } = ranges[0]!);
      response.status(206).set('Content-Range', `bytes ${start}-${end}/${size}`);
    }
  }
  const length = end - start + 1;
  response.set('Content-Length', String(length));
  if (request.method === 'HEAD' || length === 0) {
    response.end();
    return;
  }
  const pieces = piecesOf(file, from + start, from + end);
  await sendPieces(request, response, pieces, { length, idleTimeoutMs, onSent });
}

/** Facts of the pieces that are known before they are sent. */
export interface PiecesResponse extends Pick<FileResponse, 'idleTimeoutMs'> {
  /** Length of all pieces together, in bytes. At least 1. */
  readonly length: number;
  readonly onSent?: FileResponse['onSent'] | undefined;
}

/** Sends the body of a response in pieces, as fast as its client reads. A disconnected client is not an error. */
export async function sendPieces(
  request: Request,
  response: Response,
  pieces: AsyncIterable<Buffer>,
  { length, idleTimeoutMs, onSent }: PiecesResponse,
): Promise<void> {
  if (response.destroyed) return; // its `close` was emitted already, and `disconnection` would wait for it
  const disconnected = disconnection(response);
  const release = onIdle(request.socket, idleTimeoutMs, () => request.socket.destroy());
  // Before node's own listener, which then sets the connection's keep-alive time-out.
  response.prependOnceListener('finish', release);
  let sent = 0;
  try {
    for await (const piece of pieces) {
      sent += piece.length;
      // The last bytes end the response: a client that has them may disconnect before a separate end.
      if (sent === length) response.end(piece);
      else if (!response.write(piece)) await once(response, 'drain', { signal: disconnected });
    }
    await finished(response);
  } catch (error) {
    if (!disconnected.aborted) throw error;
  } finally {
    onSent?.(sent);
    release();
  }
}

/** The bytes of a file. */
export async function* piecesOfFile(path: string): AsyncGenerator<Buffer> {
  const file = await open(path);
  try {
    yield* piecesOf(file, 0, (await file.stat()).size - 1);
  } finally {
    await file.close();
  }
}

/** Reads a file from one position to another, inclusive. Most masks are one piece, for which a stream of
 * Node's would cost more than the read. */
async function* piecesOf(file: FileHandle, start: number, end: number): AsyncGenerator<Buffer> {
  for (let at = start; at <= end; ) {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end + 1 - at));
    const { bytesRead } = await file.read(piece, 0, piece.length, at);
    if (bytesRead === 0) throw new Error('a result became shorter while it was sent');
    at += bytesRead;
    yield piece.subarray(0, bytesRead);
  }
}

/**
 * Calls back when a socket has been idle for `timeoutMs`. Returns a function that stops watching and restores the
 * socket's time-out; calling it again has no effect.
 */
function onIdle(socket: Socket, timeoutMs: number, callback: () => void): () => void {
  const before = socket.timeout ?? 0;
  let watching = true;
  socket.setTimeout(timeoutMs);
  socket.once('timeout', callback);
  return () => {
    if (!watching) return;
    watching = false;
    socket.setTimeout(before);
    socket.off('timeout', callback);
  };
}
