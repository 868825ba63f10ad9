import { readdir } from 'node:fs/promises';
import { RequestError } from '../contract/errors.js';

/**
 * Requires a folder that a set-up may replace: there is none, or it is empty, or of an earlier set-up.
 * @param manifest the file that every such set-up has
 * @throws RequestError `conflict` for a folder that holds anything else: it would be removed
 */
export async function requireReplaceable(folder: string, manifest: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  if (names.length === 0 || names.some((name) => name === manifest)) return;
  throw new RequestError(
    'conflict',
    `"${folder}" holds other files than those of this set-up; remove it, or name another folder with --cache-dir`,
  );
}
