import { chmod, copyFile, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeWhole } from '../../model/shelf/whole-file.js';

/** Resolves when the content of a file would survive a power failure; its name is an entry of its folder. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Copies these files of a folder to another one. Resolves when their content would survive a power failure. */
export async function copyDurably(names: readonly string[], from: string, to: string): Promise<void> {
  for (const name of names) {
    const copy = join(to, name);
    await copyFile(join(from, name), copy);
    await chmod(copy, 0o644); // the original may be read-only, and what cannot be written cannot be synced everywhere
    await syncFile(copy);
  }
}

/** Resolves when the entries of a folder would survive a power failure: the names of new and of renamed files. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return; // folders cannot be opened there
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Writes a file, or replaces it atomically: it is always whole. Resolves when that would survive a power failure.
 * Calls for one path must not overlap: they share the draft, `PATH.partial`. See `replaceSharedFile`.
 */
export async function replaceFile(path: string, content: string): Promise<void> {
  await writeWhole(path, [content]);
  await syncFolder(dirname(path));
}
