import { open, rename, rm } from 'node:fs/promises';

/**
 * Replaces a file atomically: writes a temporary file beside it, flushes that to the disk, and renames it. Whatever
 * fails or is killed, the file has its old or its new content.
 */
export async function writeWhole(path: string, parts: Iterable<string | Uint8Array>): Promise<void> {
  const partial = `${path}.partial`;
  try {
    const file = await open(partial, 'w');
    try {
      // not by `writev`, which on a full disk writes a part and reports no error
      for (const part of parts) await file.writeFile(part);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined);
    throw error;
  }
}
