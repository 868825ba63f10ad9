import { randomUUID } from 'node:crypto';
import { link, open, rename, rm, stat } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { ConflictError } from '../../errors.js';

const RETRY_MS = 50;
/** A lock that is older was left by a process that was killed: what it is for takes seconds. */
const STALE_MS = 600_000;

/**
 * Works while no other process does so with the same file, which exists meanwhile. A process that is killed in between
 * leaves it: until it is old enough, whether another is at work cannot be known, so it is reported.
 *
 * @param waitMs how long to wait for others
 * @throws ConflictError where others take longer
 */
export async function withFileLock<Value>(
  path: string,
  work: () => Promise<Value>,
  waitMs = 10_000,
): Promise<Value> {
  await removeStale(path);
  for (let waited = 0; !(await create(path)); waited += RETRY_MS) {
    if (waited >= waitMs)
      throw new ConflictError(
        `another run is adding labels to this image: repeat this one, or remove ${path} if there is none`,
      );
    await setTimeout(RETRY_MS);
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

/** @returns false where it exists */
async function create(path: string): Promise<boolean> {
  try {
    await (await open(path, 'wx')).close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

/** Removes a lock that a process has left which was killed. */
async function removeStale(path: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (found === null || Date.now() - found.mtimeMs < STALE_MS) return;
  const removed = `${path}.${randomUUID()}`;
  const isRemoved = await rename(path, removed).then(
    () => true,
    () => false, // another process has
  );
  if (!isRemoved) return;
  // Another process may have removed the stale one before, and taken the lock: it is given back.
  if ((await stat(removed)).ino !== found.ino) await link(removed, path).catch(() => undefined);
  await rm(removed);
}
