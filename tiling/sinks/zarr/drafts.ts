import { randomUUID } from 'node:crypto';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Exists in a store while a run changes its list of labels, and after one that was killed meanwhile. */
export const LABELS_LOCK = '.labels.lock';
/** Of what is written into a store beside its image until it is complete. */
const ENDING = '.labels.partial';
/** A draft whose files are all older was left by a run that was killed. */
const STALE_MS = 24 * 60 * 60 * 1000;

/** A name in a store for what is not complete, or to be removed. */
export const draftIn = (store: string, name: string): string =>
  join(store, `.${name}.${randomUUID()}${ENDING}`);

/** The names of drafts in a store that runs have left which were killed. Those that others write into are none. */
export async function staleDrafts(store: string): Promise<string[]> {
  const stale: string[] = [];
  for (const name of await readdir(store)) {
    if (!name.startsWith('.') || !name.endsWith(ENDING)) continue;
    const changed = await lastChangeBelow(join(store, name)).catch(() => Date.now()); // another run may have removed it
    if (Date.now() - changed > STALE_MS) stale.push(name);
  }
  return stale;
}

/** When a file, or something below a folder, was last written, in ms since 1970. */
async function lastChangeBelow(path: string): Promise<number> {
  const found = await lstat(path);
  let last = found.mtimeMs;
  if (!found.isDirectory()) return last;
  for (const name of await readdir(path, { recursive: true })) {
    last = Math.max(last, (await lstat(join(path, name))).mtimeMs);
  }
  return last;
}
