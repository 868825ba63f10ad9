import { join } from 'node:path';
import { z } from 'zod';
import { type Documents, groupDocuments, ngffAttributes } from './documents.js';
import type { NgffVersion } from './format.js';
import { readDocument, refusal } from './source-image.js';
import { replaceDocuments } from './write-documents.js';

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

/** Adds a name to the list of the labels of a store, which is replaced atomically. */
export async function addToList(store: string, version: NgffVersion, name: string): Promise<void> {
  const group = join(store, 'labels');
  const { labels: earlier, document } = await readList(group, version);
  await replaceDocuments(store, group, listDocuments(version, [...earlier, name], document));
}

/** The documents of a group with another list. */
function listDocuments(
  version: NgffVersion,
  labels: readonly string[],
  document: LabelList['document'],
): Documents {
  if (document === null) return groupDocuments(version, ngffAttributes(version, { labels }));
  if (version === '0.4') return { '.zattrs': { ...document, labels } };
  const { attributes } = GROUP_3.parse(document);
  const ome = { version, ...attributes.ome, labels };
  return { 'zarr.json': { ...document, attributes: { ...attributes, ome } } };
}
