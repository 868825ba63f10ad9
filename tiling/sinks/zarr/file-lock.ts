import { randomUUID } from 'node:crypto';
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ConflictError } from '../../errors.js';
import { draftIn } from './drafts.js';

const RETRY_MS = 50;
/** Longer waits are reported. */
const NOTICE_MS = 1000;
/** A lock that is older was left by a process that was killed: what it is for takes seconds. */
const STALE_MS = 600_000;

export interface Waiting {
  /** Ends a wait. */
  readonly signal?: AbortSignal | undefined;
  /** Called once with what is waited for, where that takes longer than a second. */
  readonly onWait?: ((reason: string) => void) | undefined;
}

export interface LockOptions extends Waiting {
  /** How long to wait for others, in ms. Default: until a lock that a killed process left is old enough. */
  readonly waitMs?: number;
}

/**
 * Works while no other process does so with the same file, which exists meanwhile. A process that is killed in between
 * leaves it: until it is old enough, whether another is at work cannot be known, so it is waited for.
 *
 * @throws ConflictError where others take longer
 */
export async function withFileLock<Value>(
  path: string,
  work: () => Promise<Value>,
  { waitMs = STALE_MS + 60_000, signal, onWait }: LockOptions = {},
): Promise<Value> {
  const own = randomUUID();
  for (let waited = 0; !(await create(path, own)); waited += RETRY_MS) {
    if (await removeStale(path)) continue;
    if (waited >= waitMs)
      throw new ConflictError(
        `another run is adding labels to this image: repeat this one, or remove ${path} if there is none`,
      );
    if (waited === NOTICE_MS)
      onWait?.(`waiting for another run, which is adding labels, or was killed: ${path}`);
    signal?.throwIfAborted();
    await setTimeout(RETRY_MS);
  }
  try {
    return await work();
  } finally {
    // Another process has taken it over where this one was suspended for too long.
    if ((await contentOf(path)) === own) await rm(path, { force: true });
  }
}

/** @returns false where it exists */
async function create(path: string, own: string): Promise<boolean> {
  try {
    await writeFile(path, own, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

const contentOf = (path: string): Promise<string | null> => readFile(path, 'utf8').catch(() => null);

/** Removes a lock that a process has left which was killed. @returns whether it has */
async function removeStale(path: string): Promise<boolean> {
  const [content, found] = [await contentOf(path), await stat(path).catch(() => null)];
  if (found === null || Date.now() - found.mtimeMs < STALE_MS) return false;
  const removed = draftIn(dirname(path), 'lock');
  const isRemoved = await rename(path, removed).then(
    () => true,
    () => false, // another process has
  );
  if (!isRemoved) return false;
  // Another process may have removed the stale one before, and taken the lock: it is given back.
  const removedContent = await contentOf(removed);
  const isOther = removedContent !== content || (await stat(removed)).mtimeMs !== found.mtimeMs;
  if (isOther) await create(path, removedContent ?? '');
  await rm(removed);
  return !isOther;
}
