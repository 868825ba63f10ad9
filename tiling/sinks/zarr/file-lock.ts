import { open, rm } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { ConflictError } from '../../errors.js';

const RETRY_MS = 50;

/**
 * Works while no other process does so with the same file, which exists meanwhile. A process that is killed in between
 * leaves it: whether another is at work cannot be known then, so it is reported.
 *
 * @param waitMs how long to wait for others
 * @throws ConflictError where others take longer
 */
export async function withFileLock<Value>(
  path: string,
  work: () => Promise<Value>,
  waitMs = 10_000,
): Promise<Value> {
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
