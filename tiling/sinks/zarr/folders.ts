import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Creates a folder in one that exists, without what a killed process has left of it. */
export async function emptyFolder(path: string): Promise<string> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path);
  return path;
}

/** Resolves when the names of all files below a folder would survive a power failure. */
export async function syncFolders(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await syncFolders(join(path, entry.name));
  }
  await syncFolder(path);
}

/** Resolves when the entries of a folder would survive a power failure. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return; // folders cannot be opened there
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Moves a folder into the place of another, which is removed. The other is there again where that fails, or by
 * `recoverFolder` where the process was killed in between: two names cannot be exchanged at once.
 */
export async function replaceFolder(draft: string, path: string): Promise<void> {
  const earlier = earlierOf(path);
  await rm(earlier, { recursive: true, force: true });
  const isThere = await renameIfThere(path, earlier);
  try {
    await rename(draft, path);
  } catch (error) {
    if (isThere) await rename(earlier, path).catch(() => undefined); // the first error says why
    throw error;
  }
  await syncFolder(dirname(path));
  if (isThere) await rm(earlier, { recursive: true, force: true });
}

/** Undoes what a process has left that was killed while it replaced a folder. */
export async function recoverFolder(path: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (found === null) await renameIfThere(earlierOf(path), path);
}

/** Where a folder is while it is replaced. */
const earlierOf = (path: string): string => `${path}.earlier.partial`;

/** @returns whether there was something */
async function renameIfThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return false;
  }
}
