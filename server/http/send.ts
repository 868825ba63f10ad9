import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { finished } from 'node:stream/promises';
import type { Request, Response } from 'express';
import { RequestError } from '../contract/errors.js';

export interface FileResponse {
  readonly type: string;
  /** Names the content for ever: the same tag, the same bytes. Null for what is sent once only. */
  readonly etag: string | null;
  /** A client that reads nothing for so long is left. */
  readonly idleTimeoutMs: number;
}

/**
 * Sends a file that does not change any more, or the part of it that the request's `Range` asks for,
 * unless the client has it already (`If-None-Match`).
 */
export async function sendFile(
  request: Request,
  response: Response,
  path: string,
  { type, etag, idleTimeoutMs }: FileResponse,
): Promise<void> {
  const { size } = await stat(path);
  response.set('Content-Type', type);
  let [start, end] = [0, size - 1];
  if (etag !== null) {
    response.set({ ETag: `"${etag}"`, 'Accept-Ranges': 'bytes' });
    if (request.fresh) {
      response.status(304).end();
      return;
    }
    const ifRange = request.get('If-Range');
    const ranges = ifRange === undefined || ifRange === `"${etag}"` ? request.range(size) : undefined;
    if (ranges === -1) {
      response.set('Content-Range', `bytes */${size}`);
      throw new RequestError(
        'bad-range',
        `the file has ${size} bytes, and none of those that "Range" asks for`,
      );
    }
    // Several ranges at once may be answered with the whole (RFC 9110, section 14.2).
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
  const left = new AbortController();
  response.once('close', () => left.abort());
  const release = onSilence(request.socket, idleTimeoutMs, () => request.socket.destroy());
  // Before node's own listener, which then gives the connection its keep-alive time-out.
  response.prependOnceListener('finish', release);
  try {
    let sent = 0;
    for await (const chunk of createReadStream(path, { start, end })) {
      sent += (chunk as Buffer).length;
      // The end goes with the last bytes: a client that has them may leave before a later end.
      if (sent === length) response.end(chunk);
      else if (!response.write(chunk)) await once(response, 'drain', { signal: left.signal });
    }
    await finished(response);
  } catch (error) {
    if (!left.signal.aborted) throw error; // otherwise the client left, or stopped reading
  } finally {
    release();
  }
}

/**
 * Calls back when nothing has moved on a socket for so long; returns what ends the watch, to be called once
 * or more often. The socket's time-out is then what it was before.
 */
function onSilence(socket: Socket, timeoutMs: number, callback: () => void): () => void {
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
