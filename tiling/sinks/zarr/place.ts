import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConflictError } from '../../errors.js';
import { archiveFolder } from './archive.js';

/** Where a Zarr appears when it is complete. Until then it is a draft. */
export interface ZarrPlace {
  /** The folder that the draft is written into: empty. */
  readonly draft: string;
  /** Whether the draft's files are synced to the disk as they are written. */
  readonly isDurable: boolean;
  publish(): Promise<void>;
  discard(): Promise<void>;
}

/** In the attributes of the root: a folder with them is a result, which a later one may replace. */
export const RESULT_ATTRIBUTE = 'unseam';

const COMMENT = JSON.stringify({
  ome: { version: '0.5', zipFile: { centralDirectory: { jsonFirst: true } } },
});

/** A Zarr as a ZIP archive, for what results are files. */
export async function archivePlace(path: string): Promise<ZarrPlace> {
  const draft = await emptyFolder(`${path}.files.partial`);
  const discard = () => rm(draft, { recursive: true, force: true });
  return {
    draft,
    isDurable: false,
    async publish() {
      await archiveFolder(draft, path, COMMENT);
      await discard();
    },
    discard,
  };
}

/**
 * A Zarr as a folder. It appears whole: the draft is synced, and then renamed.
 * @throws ConflictError where there is something else than an earlier result
 */
export async function folderPlace(path: string): Promise<ZarrPlace> {
  await checkReplaceable(path);
  const draft = await emptyFolder(`${path}.partial`);
  return {
    draft,
    isDurable: true,
    async publish() {
      await syncFolders(draft);
      await checkReplaceable(path);
      const earlier = `${path}.earlier.partial`;
      await rm(earlier, { recursive: true, force: true });
      const isThere = await rename(path, earlier).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') throw error;
          return false;
        },
      );
      await rename(draft, path);
      await syncFolder(dirname(path));
      if (isThere) await rm(earlier, { recursive: true, force: true });
    },
    discard: () => rm(draft, { recursive: true, force: true }),
  };
}

/** Creates a folder in one that exists, without what a killed process has left of it. */
export async function emptyFolder(path: string): Promise<string> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path);
  return path;
}

/** Resolves when the names of all files below a folder would survive a power failure. */
export async function syncFolders(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await syncFolders(join(path, entry.name));
  }
  await syncFolder(path);
}

/** Resolves when the entries of a folder would survive a power failure. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return; // folders cannot be opened there
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** A folder with thousands of files is not replaced by mistake: only what unseam has written as a result. */
async function checkReplaceable(path: string): Promise<void> {
  const text = await readFile(join(path, 'zarr.json'), 'utf8').catch((error: NodeJS.ErrnoException) => error);
  if (typeof text === 'string' && isResult(text)) return;
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => error);
  if (names instanceof Error && names.code === 'ENOENT') return;
  throw new ConflictError(`${path} exists, and is no result of unseam: remove it, or name another`);
}

function isResult(text: string): boolean {
  try {
    const { attributes } = JSON.parse(text);
    return typeof attributes === 'object' && attributes !== null && RESULT_ATTRIBUTE in attributes;
  } catch {
    return false;
  }
}
