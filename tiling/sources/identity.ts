import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SourceUnreachableError } from '../errors.js';
import { fetchWithin } from './web.js';

/** The metadata files of an OME-Zarr, of version 0.5 and of 0.4. */
const ZARR = ['zarr.json', '.zattrs'];

/**
 * Identifies the version of an image without reading it: by a file's size and modification time, or by an
 * address's ETag, modification time and length; of an OME-Zarr, by those of its metadata; of a folder of planes, by
 * those of all files in it.
 *
 * @returns JSON that changes when the image does
 * @throws SourceUnreachableError for a server that does not respond
 */
export async function identityOf(input: string, signal: AbortSignal): Promise<unknown> {
  if (/^https?:\/\//.test(input)) return identityOfAddress(input, signal);
  const found = await stat(input);
  const { size, mtimeMs } = found;
  const parts = await Promise.all(ZARR.map((name) => stat(join(input, name)).catch(() => null)));
  if (found.isDirectory() && parts.every((part) => part === null)) return { files: await digestOf(input) };
  return { size, mtimeMs, parts: parts.map((part) => part && { size: part.size, mtimeMs: part.mtimeMs }) };
}

/** The digest of the names, sizes and modification times of a folder's files, in the order of their names. */
async function digestOf(folder: string): Promise<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  const hash = createHash('sha256');
  for (const name of names.sort()) {
    const { size, mtimeMs } = await stat(join(folder, name));
    hash.update(JSON.stringify([name, size, mtimeMs]));
  }
  return hash.digest('hex');
}

async function identityOfAddress(input: string, signal: AbortSignal): Promise<unknown> {
  const url = new URL(input);
  if (!/\.zarr\/?$/.test(url.pathname)) return headersOf(url, url, signal);
  const scope = new URL(url);
  if (!scope.pathname.endsWith('/')) scope.pathname += '/';
  const parts = [];
  for (const name of ZARR) {
    const part = new URL(scope);
    part.pathname += name;
    parts.push(await headersOf(part, scope, signal));
  }
  return parts;
}

async function headersOf(url: URL, scope: URL, signal: AbortSignal): Promise<unknown> {
  // Not by HEAD: servers that images are read from support range requests, but not all support HEAD.
  const response = await fetchWithin(url, { scope, headers: { range: 'bytes=0-0' }, signal });
  await response.body?.cancel();
  if (response.status >= 500) {
    throw new SourceUnreachableError(`the image's server responded with ${response.status}`);
  }
  const { status, headers } = response;
  const length = /\/(\d+)$/.exec(headers.get('content-range') ?? '')?.[1] ?? headers.get('content-length');
  return { status, etag: headers.get('etag'), modified: headers.get('last-modified'), length };
}
