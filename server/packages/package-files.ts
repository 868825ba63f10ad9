import { opendir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type Entry, fromBufferPromise, openPromise, type ZipFile } from 'yauzl';
import { PackageError } from '../../model/errors.js';

/** A file of a package, as its description names it. */
export interface FileReference {
  /** Its path in the package. */
  readonly source: string;
  /** In hexadecimal; null where the package does not state it. */
  readonly sha256: string | null;
}

/** The files of a package. */
export interface PackageFiles {
  /** What it is called in messages. */
  readonly name: string;
  /** Of an archive, the paths of all files, with `/` between folders; of a folder, those that are in no other. Sorted. */
  readonly paths: readonly string[];
  /**
   * @param path as a description names it
   * @param maxBytes default: 2 GiB
   * @throws PackageError for a file that is missing, outside of the package, or larger than it may be
   */
  read(path: string, maxBytes?: number): Promise<Buffer>;
  close(): Promise<void>;
}

/** Bounds of what is read of a package: published ones have ten files, and weights of a gigabyte at most. */
const LIMITS = {
  files: 2000,
  pathLength: 300,
  fileBytes: 2 ** 31 - 1,
  totalBytes: 2 ** 32,
  /** How many times larger the files of an archive may be than the archive, and how many bytes beyond that. */
  ratio: 100,
  slackBytes: 2 ** 26,
} as const;

/** The bits of a file's mode that say what it is, and those of a symbolic link. */
const KIND = 0xf000;
const LINK = 0xa000;

/** Opens a package: an archive, or a folder. @throws PackageError for what is neither, and for what leaves it */
export async function openPackage(path: string): Promise<PackageFiles> {
  if ((await stat(path)).isDirectory()) return openFolder(path, await namesIn(path));
  return openZip(path, () => openPromise(path, OPTIONS), (await stat(path)).size);
}

/** A file, which may be a link, and those beside it that it names: its folder may be any, and is not listed. */
export const openBeside = (path: string): Promise<PackageFiles> =>
  openFolder(dirname(path), [basename(path)], basename(path));

/** Opens an archive in a package, such as the weights of TensorFlow.js. */
export function openArchive(name: string, data: Buffer): Promise<PackageFiles> {
  return openZip(name, () => fromBufferPromise(data, OPTIONS), data.length);
}

/** The files of a folder of a package, with their paths in that: what is named in it cannot leave it. */
export const filesWithin = (files: PackageFiles, folder: string): PackageFiles => ({
  name: files.name,
  paths: files.paths
    .filter((path) => path.startsWith(`${folder}/`))
    .map((path) => path.slice(folder.length + 1)),
  read: (path, maxBytes) => files.read(`${folder}/${normalise(path, files.name)}`, maxBytes),
  close: () => files.close(),
});

const OPTIONS = { lazyEntries: true, strictFileNames: true, autoClose: false } as const;

async function openZip(
  name: string,
  open: () => Promise<ZipFile>,
  archiveBytes: number,
): Promise<PackageFiles> {
  const fail = (reason: string, cause?: unknown): never => {
    throw new PackageError(`${name}: ${reason}`, { cause });
  };
  const zip = await open().catch((cause: Error) => fail(`it is not a zip archive: ${cause.message}`, cause));
  const entries = new Map<string, Entry>();
  try {
    let total = 0;
    for await (const entry of zip.eachEntry()) {
      const { fileName: path, uncompressedSize, externalFileAttributes } = entry;
      if (path.endsWith('/')) continue;
      if (path.length > LIMITS.pathLength) fail(`the name of a file has ${path.length} characters`);
      if (entries.has(path)) fail(`it has two files named ${path}`);
      if (((externalFileAttributes >>> 16) & KIND) === LINK)
        fail(`${path} is a link, which may leave the package`);
      if (entry.isEncrypted()) fail(`${path} is encrypted`);
      total += uncompressedSize;
      if (total > LIMITS.totalBytes) fail(`its files are larger than ${sizeOf(LIMITS.totalBytes)} together`);
      if (total > LIMITS.ratio * archiveBytes + LIMITS.slackBytes) {
        fail(`its files are more than ${LIMITS.ratio} times larger than the archive`);
      }
      entries.set(path, entry);
      if (entries.size > LIMITS.files) fail(`it has more than ${LIMITS.files} files`);
    }
  } catch (cause) {
    zip.close();
    if (cause instanceof PackageError) throw cause;
    return fail((cause as Error).message, cause); // among them names that leave the package
  }
  return {
    name,
    paths: [...entries.keys()].sort(),
    async read(path, maxBytes = LIMITS.fileBytes) {
      const entry = entries.get(normalise(path, name));
      if (!entry) return fail(`it has no file ${path}`);
      if (entry.uncompressedSize > maxBytes) fail(`${path} is larger than ${sizeOf(maxBytes)}`);
      try {
        return await buffer(await zip.openReadStreamPromise(entry)); // which ends at the size that the entry states
      } catch (cause) {
        return fail(`${path} is damaged: ${(cause as Error).message}`, cause);
      }
    },
    close: async () => zip.close(),
  };
}

/** The files of a folder, without those of folders in it. @throws PackageError for too many */
async function namesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  let entries = 0;
  for await (const entry of await opendir(folder)) {
    if (++entries > LIMITS.files) throw new PackageError(`${folder}: it has more than ${LIMITS.files} files`);
    if (entry.isFile() || entry.isSymbolicLink()) names.push(entry.name);
  }
  return names.sort();
}

/** @param named by whoever imports it: it may lead out of the folder, as no file may that a package names */
async function openFolder(
  folder: string,
  paths: readonly string[],
  named: string | null = null,
): Promise<PackageFiles> {
  const root = await realpath(folder);
  const inside = root.endsWith(sep) ? root : root + sep;
  return {
    name: folder,
    paths,
    async read(path, maxBytes = LIMITS.fileBytes) {
      const fail = (reason: string): never => {
        throw new PackageError(`${folder}: ${reason}`);
      };
      const own = normalise(path, folder);
      const file = await realpath(join(root, own)).catch(() => null);
      if (file === null) return fail(`it has no file ${path}`);
      if (own !== named && !file.startsWith(inside)) {
        return fail(`${path} is a link that leads out of the package: copy its files instead (cp -rL)`);
      }
      const found = await stat(file);
      if (!found.isFile()) return fail(`${path} is not a file`);
      if (found.size > maxBytes) return fail(`${path} is larger than ${sizeOf(maxBytes)}`);
      return readFile(file);
    },
    close: async () => undefined,
  };
}

const sizeOf = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20).toLocaleString('en')} MiB`;

/**
 * A path in a package, without `.` and doubled slashes.
 * @throws PackageError for one that leaves the package, or is an address
 */
export function normalise(path: string, name: string): string {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(path)) {
    throw new PackageError(
      `${name}: ${path} is an address: download the package as a whole, and import that`,
    );
  }
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (path.startsWith('/') || /[\\:\0]/.test(path) || parts.includes('..')) {
    throw new PackageError(`${name}: the path ${path} leaves the package`);
  }
  return parts.join('/');
}
