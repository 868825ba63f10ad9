import { realpath } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import { RequestError } from '../contract/errors.js';

/**
 * A file that a request names, below the folder of slides.
 * @throws RequestError for a path that is not below it, by links neither
 */
export async function slidePath(folder: string | null, path: string): Promise<string> {
  if (folder === null)
    throw new RequestError('bad-request', 'this server reads no files by path: it has no --slides');
  const missing = new RequestError('not-found', `there is no "${path}" in the folder of slides`);
  const root = await realpath(folder);
  const found = await realpath(isAbsolute(path) ? path : join(root, path)).catch(() => null);
  if (found === null) throw missing;
  const inside = relative(root, found);
  if (inside.startsWith('..') || isAbsolute(inside)) throw missing;
  return found;
}
