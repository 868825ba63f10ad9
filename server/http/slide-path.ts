import { realpath } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import { RequestError } from '../contract/errors.js';

/**
 * Resolves a path of a request to a file below the folder of slides.
 * @param path absolute, or relative to the folder
 * @throws RequestError `not-found` for a path that leads outside, symbolic links included; `bad-request` without a folder
 */
export async function slidePath(folder: string | null, path: string): Promise<string> {
  if (folder === null)
    throw new RequestError('bad-request', 'this server reads no images by path: it has no --slides folder');
  const missing = new RequestError('not-found', `there is no "${path}" in the folder of slides`);
  const root = await realpath(folder);
  const found = await realpath(isAbsolute(path) ? path : join(root, path)).catch(() => null);
  if (found === null) throw missing;
  const inside = relative(root, found);
  if (inside.startsWith('..') || isAbsolute(inside)) throw missing;
  return found;
}
