import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Documents, groupDocuments, ngffAttributes } from './documents.js';
import { syncFolder } from './folders.js';
import type { NgffVersion } from './format.js';
import { readDocument, refusal } from './source-image.js';

const LIST = z.looseObject({ labels: z.array(z.string()).default([]) });
const GROUP_3 = z.looseObject({
  attributes: z.looseObject({ ome: LIST.default({ labels: [] }) }).default({ ome: { labels: [] } }),
});

/** The names of the labels in a group, and its document, of which everything else is to stay: null where there is none. */
export interface LabelList {
  readonly labels: readonly string[];
  readonly document: Readonly<Record<string, unknown>> | null;
}

/** @throws UnsupportedOutputError for a document of something else */
export async function readList(group: string, version: NgffVersion): Promise<LabelList> {
  const file = version === '0.5' ? 'zarr.json' : '.zattrs';
  const document = await readDocument(join(group, file));
  if (document === null) return { labels: [], document: null };
  const parsed = (version === '0.5' ? GROUP_3 : LIST).safeParse(document);
  if (!parsed.success) throw refusal(`its labels/${file} is not that of a group of labels`);
  const { labels } = version === '0.5' ? GROUP_3.parse(document).attributes.ome : LIST.parse(document);
  return { labels, document: parsed.data };
}

/** Adds a name to the list of a group of labels, which is replaced atomically. */
export async function addToList(group: string, version: NgffVersion, name: string): Promise<void> {
  const { labels: earlier, document } = await readList(group, version);
  const labels = [...earlier, name];
  if (document === null) {
    await replace(group, groupDocuments(version, ngffAttributes(version, { labels })));
  } else if (version === '0.4') {
    await replace(group, { '.zattrs': { ...document, labels } });
  } else {
    const { attributes } = GROUP_3.parse(document);
    const ome = { version, ...attributes.ome, labels };
    await replace(group, { 'zarr.json': { ...document, attributes: { ...attributes, ome } } });
  }
  await syncFolder(group);
}

async function replace(folder: string, documents: Documents): Promise<void> {
  for (const [name, content] of Object.entries(documents)) {
    // A new file: one that is there could be a link to anywhere.
    const draft = join(folder, `${name}.${randomUUID()}.partial`);
    const file = await open(draft, 'wx');
    try {
      try {
        await file.writeFile(`${JSON.stringify(content, null, 2)}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(draft, join(folder, name));
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  }
}
