import { stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Files that were laid down: their paths in the folder, and their sizes, by which a manifest tells damaged ones. */
export const sizesOf = (
  folder: string,
  paths: readonly string[],
): Promise<{ readonly path: string; readonly bytes: number }[]> =>
  Promise.all(paths.map(async (path) => ({ path, bytes: (await stat(join(folder, path))).size })));
