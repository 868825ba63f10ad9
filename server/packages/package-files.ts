import { open, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type Entry, fromBufferPromise, openPromise, type ZipFile } from 'yauzl';
import { PackageError } from '../../model/errors.js';

/** The files of a package. */
export interface PackageFiles {
  /** What it is called in messages. */
  readonly name: string;
  /** The paths of all files, with `/` between folders, sorted. */
  readonly paths: readonly string[];
  /**
   * @param path as a description names it
   * @throws PackageError for a file that is missing, outside of the package, or larger than it may be
   */
  read(path: string): Promise<Buffer>;
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
  if ((await stat(path)).isDirectory()) return openFolder(path);
  return openZip(path, () => openPromise(path, OPTIONS), (await stat(path)).size);
}

/** Opens an archive in a package, such as the weights of TensorFlow.js. */
export function openArchive(name: string, data: Buffer): Promise<PackageFiles> {
  return openZip(name, () => fromBufferPromise(data, OPTIONS), data.length);
}

const OPTIONS = { lazyEntries: true, strictFileNames: true, autoClose: false } as const;

/** Whether a file begins as an archive does. */
export async function isZip(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const start = Buffer.alloc(4);
    await file.read(start, 0, 4, 0);
    return start.equals(Buffer.from('PK\x03\x04', 'latin1'));
  } finally {
    await file.close();
  }
}

async function openZip(
  name: string,
  open: () => Promise<ZipFile>,
  archiveBytes: number,
): Promise<PackageFiles> {
  const fail = (reason: string, cause?: unknown): never => {
    throw new PackageError(`${name}: ${reason}`, { cause });
  };
  const zip = await open().catch((cause: Error) => fail(`it is no zip archive: ${cause.message}`, cause));
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
      if (uncompressedSize > LIMITS.fileBytes || total > LIMITS.totalBytes)
        fail(`${path} makes it larger than 4 GiB`);
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
    async read(path) {
      const entry = entries.get(normalise(path, name));
      if (!entry) return fail(`it has no file ${path}`);
      try {
        return await buffer(await zip.openReadStreamPromise(entry)); // which ends at the size that the entry states
      } catch (cause) {
        return fail(`${path} is damaged: ${(cause as Error).message}`, cause);
      }
    },
    close: async () => zip.close(),
  };
}

async function openFolder(folder: string): Promise<PackageFiles> {
  const root = await realpath(folder);
  const found = await readdir(root, { recursive: true, withFileTypes: true });
  if (found.length > LIMITS.files)
    throw new PackageError(`${folder}: it has more than ${LIMITS.files} files`);
  const paths = found
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'));
  return {
    name: folder,
    paths: paths.sort(),
    async read(path) {
      const fail = (reason: string): never => {
        throw new PackageError(`${folder}: ${reason}`);
      };
      const file = await realpath(join(root, normalise(path, folder))).catch(() => null);
      if (file === null) return fail(`it has no file ${path}`);
      if (!file.startsWith(root + sep)) return fail(`${path} is outside of the package`);
      const { size } = await stat(file);
      if (size > LIMITS.fileBytes) return fail(`${path} is larger than 2 GiB`);
      return readFile(file);
    },
    close: async () => undefined,
  };
}

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
