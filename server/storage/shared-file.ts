import { randomUUID } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { type WholeFileOptions, writeWhole } from '../../model/shelf/whole-file.js';
import { removeStaleDrafts } from './draft-folder.js';
import { syncFolder } from './durable.js';

/**
 * Replaces a file atomically that others replace, too, at the same time or in other processes: each has a draft of its
 * own, and the last one wins. Resolves when that would survive a power failure.
 */
export async function replaceSharedFile(
  path: string,
  content: string,
  { owner = null }: Pick<WholeFileOptions, 'owner'> = {},
): Promise<void> {
  const folder = dirname(path);
  await removeStaleDrafts(folder, '.');
  const draft = join(folder, `.${basename(path)}.${randomUUID()}.partial`);
  await writeWhole(path, [content], { draft, owner });
  await syncFolder(folder);
}
