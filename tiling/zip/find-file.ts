import type { FileHandle } from 'node:fs/promises';
import { contentAt, findEntry, MAX_END_BYTES, readEnd } from './records.js';

/** Of a central directory: a million files. */
const MAX_DIRECTORY_BYTES = 128 << 20;

/**
 * Finds the content of a file in an archive that unseam has written; null where there is no such file.
 * @throws Error for a damaged archive
 */
export async function findFile(
  archive: FileHandle,
  name: string,
): Promise<{ readonly start: number; readonly length: number } | null> {
  const { size } = await archive.stat();
  const { offset, bytes } = readEnd(await read(archive, Math.max(0, size - MAX_END_BYTES), size));
  if (bytes > MAX_DIRECTORY_BYTES || offset + bytes > size) {
    throw new Error('the archive of a result is damaged');
  }
  const entry = findEntry(await read(archive, offset, offset + bytes), name);
  return entry && { start: contentAt(entry), length: entry.length };
}

async function read(archive: FileHandle, start: number, stop: number): Promise<Buffer> {
  const bytes = Buffer.alloc(stop - start);
  const { bytesRead } = await archive.read(bytes, 0, bytes.length, start);
  if (bytesRead < bytes.length) throw new Error('the archive of a result is truncated');
  return bytes;
}
