import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import busboy from 'busboy';
import type { Request } from 'express';
import { RequestError } from '../contract/errors.js';
import type { Room, Transfers } from './transfers.js';

export interface UploadLimits {
  readonly maxBytes: number;
  /** Where bodies are received one beside the other. */
  readonly transfers: Transfers;
}

/** The multipart field that carries the image. */
const FIELD = 'image';

/**
 * Streams a request's image to a file: the body itself, or the multipart field `image`, whose name
 * its client may tell.
 *
 * @throws RequestError `too-large`, `bad-request`, `busy`, `disk-full`, `stalled`, or `cancelled` where the client left
 */
export async function receiveImage(
  request: Request,
  path: string,
  { maxBytes, transfers }: UploadLimits,
): Promise<{ bytes: number; name: string | null }> {
  const length = Number(request.headers['content-length'] ?? 0);
  if (length > maxBytes) throw tooLarge(maxBytes);
  return transfers.withPlace(async () => {
    const room = await transfers.reserve(length);
    try {
      if (request.is('multipart/form-data')) return await receiveField(request, path, maxBytes, room);
      return { bytes: await writeBody(request, path, maxBytes, room), name: null };
    } catch (error) {
      if (error instanceof RequestError) throw error;
      if (hasLeft(request)) throw new RequestError('cancelled', 'the client left');
      throw error;
    } finally {
      room.release();
    }
  });
}

async function writeBody(stream: Readable, path: string, maxBytes: number, room: Room): Promise<number> {
  const file = await open(path, 'w');
  try {
    let bytes = 0;
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      bytes += (chunk as Buffer).length;
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      await room.take((chunk as Buffer).length);
      await file.writeFile(chunk as Buffer);
    }
    return bytes;
  } finally {
    await file.close();
  }
}

async function receiveField(
  request: Request,
  path: string,
  maxBytes: number,
  room: Room,
): Promise<{ bytes: number; name: string | null }> {
  const parser = multipartParser(request);
  let writing: Promise<number> | null = null;
  let fileName: string | null = null;
  const parsed = new Promise<void>((resolve, reject) => {
    parser.on('file', (name, stream, { filename }) => {
      if (name !== FIELD) {
        stream.resume();
        return;
      }
      // The parser may fail the stream before it is read from; unheard, that would end the process.
      stream.on('error', reject);
      fileName = filename ?? null;
      writing = writeBody(stream, path, maxBytes, room);
      writing.catch(reject);
    });
    parser.on('close', resolve);
    parser.on('error', reject);
    request.on('error', reject);
    request.on('close', () => request.complete || reject(new Error('the client left')));
  });
  request.pipe(parser);
  let bytes: number | null;
  try {
    await parsed;
    bytes = await writing;
  } catch (error) {
    // Errors of the file system and our own have a code; the parser's have none.
    throw 'code' in (error as Error) || hasLeft(request) ? error : unreadable(error);
  } finally {
    request.unpipe(parser);
    parser.destroy(); // ends the file that it may be in the middle of
    await Promise.resolve(writing).catch(() => undefined);
  }
  if (bytes === null) {
    throw new RequestError('bad-request', `the multipart body has no file named "${FIELD}"`);
  }
  return { bytes, name: fileName };
}

/** Whether the client is gone. A body that was read to its end is destroyed too, by itself. */
const hasLeft = (request: Request): boolean => request.destroyed && !request.complete;

function multipartParser(request: Request): busboy.Busboy {
  try {
    return busboy({ headers: request.headers, limits: { files: 1, fields: 16 } });
  } catch (cause) {
    throw unreadable(cause);
  }
}

function unreadable(cause: unknown): RequestError {
  const message = `the multipart body cannot be read: ${(cause as Error).message}`;
  return new RequestError('bad-request', message, { cause });
}

function tooLarge(maxBytes: number): RequestError {
  return new RequestError('too-large', `the body is larger than the limit of ${maxBytes} bytes`);
}
