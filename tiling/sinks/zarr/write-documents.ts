import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Documents } from './documents.js';
import { draftIn } from './drafts.js';
import { syncFolder } from './folders.js';

/** Writes the documents of a group or an array into its folder, which is created where there is none. */
export async function writeDocuments(
  folder: string,
  documents: Documents,
  isDurable: boolean,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(documents)) {
    await writeDocument(join(folder, name), content, { flag: 'w', isDurable });
  }
}

/** Replaces documents in a folder of a store, each atomically; their drafts are in the store itself. */
export async function replaceDocuments(store: string, folder: string, documents: Documents): Promise<void> {
  for (const [name, content] of Object.entries(documents)) {
    // A new file: one that is there could be a link to anywhere.
    const draft = draftIn(store, name);
    try {
      await writeDocument(draft, content, { flag: 'wx', isDurable: true });
      await rename(draft, join(folder, name));
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  }
  await syncFolder(folder);
}

async function writeDocument(
  path: string,
  content: unknown,
  { flag, isDurable }: { readonly flag: 'w' | 'wx'; readonly isDurable: boolean },
): Promise<void> {
  const file = await open(path, flag);
  try {
    await file.writeFile(`${JSON.stringify(content, null, 2)}\n`);
    if (isDurable) await file.sync();
  } finally {
    await file.close();
  }
}
