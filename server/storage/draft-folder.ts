import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncFolder } from './durable.js';

/** A draft that nothing was added to for this long was left by a process that was killed. */
const STALE_MS = 24 * 60 * 60 * 1000;

/**
 * Creates a folder atomically: `write` fills a draft beside it, which is then renamed. Resolves when the folder, and those
 * of its files that were synced, would survive a power failure.
 *
 * @returns the result of `write`, or null if the name is taken. The draft is removed then, and if `write` fails
 */
export async function createFolder<T>(
  folder: string,
  write: (draft: string) => Promise<T>,
): Promise<T | null> {
  const parent = dirname(folder);
  await mkdir(parent, { recursive: true });
  await removeStaleDrafts(parent, `.${basename(folder)}.`);
  const draft = join(parent, `.${basename(folder)}.${randomUUID()}.partial`);
  try {
    await mkdir(draft);
    const written = await write(draft);
    return (await publish(draft, folder)) ? written : null;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** Removes the drafts in a folder that were left by processes that were killed. */
export async function removeStaleDrafts(parent: string, prefix: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix) || !name.endsWith('.partial')) continue;
    const found = await stat(join(parent, name)).catch(() => null); // another process may just have removed it
    if (found && Date.now() - found.mtimeMs > STALE_MS) {
      await rm(join(parent, name), { recursive: true, force: true }).catch(() => undefined); // it may be another user's
    }
  }
}

async function publish(draft: string, folder: string): Promise<boolean> {
  await syncFolder(draft);
  try {
    await rename(draft, folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
  await syncFolder(dirname(folder));
  return true;
}
