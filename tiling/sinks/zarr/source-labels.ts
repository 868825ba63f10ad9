import { lstat, mkdir, realpath, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ConflictError } from '../../errors.js';
import type { Size } from '../../geometry.js';
import type { Plane } from '../../planes.js';
import type { MaskClass } from '../tiff/ome-xml.js';
import { levelsOf } from './coordinates.js';
import { type Documents, groupDocuments, imageLabel, multiscales, ngffAttributes } from './documents.js';
import { draftIn, LABELS_LOCK, staleDrafts } from './drafts.js';
import { type Waiting, withFileLock } from './file-lock.js';
import { emptyFolder, syncFolder, syncFolders } from './folders.js';
import type { NgffVersion } from './format.js';
import { addToList, readList } from './label-list.js';
import { MultiscaleWriter } from './multiscale-writer.js';
import { readDocument, readSourceImage, refusal } from './source-image.js';
import { RESULT_ATTRIBUTE, type ZarrTarget } from './target.js';
import { replaceDocuments, writeDocuments } from './write-documents.js';
import { ZarrSink } from './zarr.js';

/** Labels in the store of the image that they are of. */
export interface SourceLabels {
  /** The folder of the image. */
  readonly store: string;
  /** Of the labels: a name of a folder, such as `nuclei`. */
  readonly name: string;
  /** Which level of the image was segmented, from 0. */
  readonly level: number;
  /** The indices of the planes that were segmented, in the order of the job. */
  readonly planes: readonly Plane[];
}

/**
 * Opens labels as the group `labels/NAME` of their image's own store, in its version: NGFF 0.5 in Zarr 3, or 0.4 in
 * Zarr 2, where each chunk is a file. They have its axes, but for the channels, its coordinates and as many levels;
 * planes that were not segmented are empty.
 *
 * Nothing of the store changes until the labels are complete: they are written beside the group `labels`, synced, and
 * renamed; then the group's list is replaced.
 *
 * @param waiting for other runs that add labels to the store, at the end
 * @throws ConflictError where it has labels of this name
 * @throws UnsupportedOutputError for a store that they cannot be written into
 */
export async function openSourceLabels(
  labels: SourceLabels,
  size: Size,
  classes: readonly MaskClass[],
  waiting: Waiting = {},
): Promise<ZarrSink> {
  const { name, level, planes } = labels;
  if (!/^\w[\w.-]{0,99}$/.test(name) || name === 'zarr.json') {
    throw refusal(`"${name}" is no name of letters, digits, dots and hyphens`);
  }
  const store = await realpath(labels.store);
  const { version, axes, lengths, levels, scale, translation, common } = await readSourceImage(store, level);
  await checkName(store, version, name);
  for (const stale of await staleDrafts(store))
    await rm(join(store, stale), { recursive: true, force: true });
  const draft = await emptyFolder(draftIn(store, name));
  try {
    const format = { name, isLabels: true, channels: 1, dtype: 'uint8', mpp: null, classes } as const;
    const arrays = { version, axes, lengths, levels, isDurable: true };
    const writer = await MultiscaleWriter.create(draft, size, format, arrays);
    const datasets = levelsOf(axes, scale, translation, '', levels);
    const attributes = ngffAttributes(version, {
      multiscales: multiscales(version, { name, axes, datasets, type: 'majority', common }),
      'image-label': imageLabel(version, classes, '../../'),
    });
    const documents = (isListed: boolean) =>
      groupDocuments(version, { ...attributes, [RESULT_ATTRIBUTE]: { result: name, isListed } });
    await writeDocuments(draft, documents(false), true);
    const target = targetOf(store, version, { draft, name, listed: documents(true) }, waiting);
    return new ZarrSink(target, writer, (plane) => ({ ...planes[plane] }));
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

/** Labels that are complete, but for their place. */
interface Draft {
  readonly draft: string;
  readonly name: string;
  /** The documents of their group once they are listed. */
  readonly listed: Documents;
}

function targetOf(store: string, version: NgffVersion, labels: Draft, waiting: Waiting): ZarrTarget {
  const { draft } = labels;
  return {
    draft,
    isDurable: true,
    async publish() {
      await syncFolders(draft);
      const earlier = await withFileLock(
        join(store, LABELS_LOCK),
        () => addTo(store, version, labels),
        waiting,
      );
      // Of many files, it takes longer than others may wait. Old drafts are removed by later runs.
      await rm(earlier, { recursive: true, force: true }).catch(() => undefined);
    },
    discard: () => rm(draft, { recursive: true, force: true }),
  };
}

/**
 * Adds a draft to the labels of a store, while no other run does.
 * @returns the folder of what it replaced, if anything, which is to be removed
 */
async function addTo(store: string, version: NgffVersion, { draft, name, listed }: Draft): Promise<string> {
  await checkName(store, version, name);
  const group = join(store, 'labels');
  const isNew = await mkdir(group).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      return false;
    },
  );
  const own = join(group, name);
  const earlier = draftIn(store, name);
  try {
    await rename(own, earlier).catch(ignoreMissing); // of a run that was killed before it was listed
    await rename(draft, own);
    await syncFolder(group);
    await addToList(store, version, name);
  } catch (error) {
    // What is listed, or may be, stays: the next run removes what is not.
    const isListed = await readList(group, version).then(
      ({ labels }) => labels.includes(name),
      () => true,
    );
    if (!isListed) await rm(own, { recursive: true, force: true });
    if (isNew) await rmdir(group).catch(() => undefined);
    throw error;
  }
  if (isNew) await syncFolder(store);
  // They are there, and listed: this only protects them where somebody takes them off the list.
  await replaceDocuments(store, own, listed).catch(() => undefined);
  return earlier;
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

/**
 * Checks that labels of this name can be added to a store: there are none, but for those of a run that was killed before
 * they were listed.
 */
async function checkName(store: string, version: NgffVersion, name: string): Promise<void> {
  const group = join(store, 'labels');
  const found = await lstat(group).catch(() => null);
  if (found && !found.isDirectory()) throw refusal('its "labels" is no folder of its own');
  const { labels } = await readList(group, version);
  const target = join(group, name);
  const isThere = (await lstat(target).catch(() => null)) !== null;
  if (!labels.includes(name) && !isThere) return;
  const own = await readDocument(join(target, version === '0.5' ? 'zarr.json' : '.zattrs'));
  const unlisted = version === '0.5' ? UNLISTED_3 : UNLISTED_2;
  if (labels.includes(name) || !unlisted.safeParse(own).success) {
    throw new ConflictError(
      `the image has labels "${name}" already: give these another name, or remove those`,
    );
  }
}

const UNLISTED_2 = z.looseObject({ [RESULT_ATTRIBUTE]: z.looseObject({ isListed: z.literal(false) }) });
const UNLISTED_3 = z.looseObject({ attributes: UNLISTED_2 });
