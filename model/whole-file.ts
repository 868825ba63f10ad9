import { open, rename, rm } from 'node:fs/promises';

/**
 * Writes a file beside its name, flushes it to the disk, and renames it: whatever fails or is killed when, the
 * file is the old one or the new one.
 */
export async function writeWhole(path: string, parts: Iterable<string | Uint8Array>): Promise<void> {
  const partial = `${path}.partial`;
  try {
    const file = await open(partial, 'w');
    try {
      // not by `writev`: on a full disk it writes a part, and is content
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
