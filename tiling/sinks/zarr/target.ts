import { readdir, readFile, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ConflictError } from '../../errors.js';
import { archiveFolder } from './archive.js';
import { LABELS_LOCK, staleDrafts } from './drafts.js';
import { emptyFolder, recoverFolder, replaceFolder, syncFolders } from './folders.js';

/** Where a Zarr appears when it is complete. Until then it is a draft. */
export interface ZarrTarget {
  /** The folder that the draft is written into: empty. */
  readonly draft: string;
  /** Whether the draft's files are synced to the disk as they are written. */
  readonly isDurable: boolean;
  publish(): Promise<void>;
  discard(): Promise<void>;
}

/** The attribute of a root that makes its folder a result, which a later one may replace. */
export const RESULT_ATTRIBUTE = 'unseam';

const COMMENT = JSON.stringify({
  ome: { version: '0.5', zipFile: { centralDirectory: { jsonFirst: true } } },
});

/** A Zarr as a ZIP archive, for what results are files. */
export async function archiveTarget(path: string, signal?: AbortSignal): Promise<ZarrTarget> {
  const draft = await emptyFolder(`${path}.files.partial`);
  const discard = () => rm(draft, { recursive: true, force: true });
  return {
    draft,
    isDurable: false,
    async publish() {
      await archiveFolder(draft, path, COMMENT, signal);
      await discard();
    },
    discard,
  };
}

/**
 * A Zarr as a folder. It appears whole: the draft is synced, and then renamed.
 * @throws ConflictError where there is something else than an earlier result
 */
export async function folderTarget(named: string): Promise<ZarrTarget> {
  const path = await realpath(named).catch(() => named); // what a link leads to is replaced, and not the link
  await recoverFolder(path);
  await checkReplaceable(path);
  const draft = await emptyFolder(`${path}.partial`);
  return {
    draft,
    isDurable: true,
    async publish() {
      await syncFolders(draft);
      await checkReplaceable(path);
      await replaceFolder(draft, path);
    },
    discard: () => rm(draft, { recursive: true, force: true }),
  };
}

const RESULT = z.object({
  attributes: z.object({ [RESULT_ATTRIBUTE]: z.object({ result: z.string() }) }),
});

/**
 * Checks that a folder may be replaced: a result of unseam, and nothing that others have put into it, such as labels.
 * A folder with thousands of files is not removed by mistake.
 */
async function checkReplaceable(path: string): Promise<void> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => error);
  if (names instanceof Error && names.code === 'ENOENT') return;
  const text = await readFile(join(path, 'zarr.json'), 'utf8').catch(() => '');
  const result = resultOf(text);
  if (names instanceof Error || result === null) {
    throw new ConflictError(`${path} exists, and is no result of unseam: remove it, or name another`);
  }
  const labels = await readdir(join(path, 'labels')).catch(() => []);
  const left = [LABELS_LOCK, ...(await staleDrafts(path))]; // by runs that were killed
  const others = [
    ...names.filter((name) => !/^(\d+|labels|zarr\.json)$/.test(name) && !left.includes(name)),
    ...labels.filter((name) => name !== result && name !== 'zarr.json').map((name) => join('labels', name)),
  ].filter((name) => !name.endsWith('.DS_Store')); // which macOS writes into folders that are looked at
  if (others.length === 0) return;
  throw new ConflictError(
    `${path} has ${others.slice(0, 3).join(', ')}, which this result would remove: move it, or name another`,
  );
}

/** The name of a result, by the document of its root; null for what is none. */
function resultOf(text: string): string | null {
  try {
    const { attributes } = RESULT.parse(JSON.parse(text));
    return attributes[RESULT_ATTRIBUTE].result;
  } catch {
    return null;
  }
}
