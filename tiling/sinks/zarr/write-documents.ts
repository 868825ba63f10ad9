import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Documents } from './documents.js';

/** Writes the documents of a group or an array into its folder, which is created where there is none. */
export async function writeDocuments(
  folder: string,
  documents: Documents,
  isDurable: boolean,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(documents)) {
    const file = await open(join(folder, name), 'w');
    try {
      await file.writeFile(`${JSON.stringify(content, null, 2)}\n`);
      if (isDurable) await file.sync();
    } finally {
      await file.close();
    }
  }
}
