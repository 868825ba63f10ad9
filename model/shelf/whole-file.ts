import { open, rename, rm } from 'node:fs/promises';

export interface WholeFileOptions {
  /** The temporary file. Default `PATH.partial`, which calls for one path share: they must not overlap. */
  readonly draft?: string;
  /** Owner of the file; null for the user of this process. Default null. */
  readonly owner?: { readonly uid: number; readonly gid: number } | null;
}

/**
 * Replaces a file atomically: writes a temporary file beside it, flushes that to the disk, and renames it. Whatever
 * fails or is killed, the file has its old or its new content.
 */
export async function writeWhole(
  path: string,
  parts: Iterable<string | Uint8Array>,
  { draft = `${path}.partial`, owner = null }: WholeFileOptions = {},
): Promise<void> {
  try {
    const file = await open(draft, 'w');
    try {
      if (owner !== null) await file.chown(owner.uid, owner.gid);
      // not by `writev`, which on a full disk writes a part and reports no error
      for (const part of parts) await file.writeFile(part);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw error;
  }
}
