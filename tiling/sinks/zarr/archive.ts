import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { UnsupportedOutputError } from '../../errors.js';
import {
  CRC_AT,
  centralRecord,
  endRecords,
  localHeader,
  MAX_FILES,
  type ZipEntry,
} from '../../zip/records.js';
import { PartialFile } from '../partial-file.js';

/** Length of the pieces that files are copied in. */
const PIECE_BYTES = 1 << 20;
const DOCUMENT = 'zarr.json';

/**
 * Checks that an archive of so many files can be served: their list is held in memory.
 * @throws UnsupportedOutputError
 */
export function checkArchivable(files: number): void {
  if (files <= MAX_FILES) return;
  throw new UnsupportedOutputError(
    `this stack would be an OME-Zarr of ${files.toLocaleString('en-GB')} files, and one has ` +
      `${MAX_FILES.toLocaleString('en-GB')} at most: segment fewer planes at a time, or choose another format`,
  );
}

/**
 * Moves the files of a Zarr into a ZIP archive, as the proposal for OME-Zarrs in single files has it (NGFF RFC 9): the
 * group is the archive's root; nothing is compressed again, so that ranges of it can be read; documents come first, from
 * the root down. The order of files, and their dates, depend on the Zarr alone. Each file is removed once it is copied:
 * the disk holds the Zarr once, and one file twice.
 *
 * @param comment of the archive, which says what it is
 */
export async function archiveFolder(
  folder: string,
  path: string,
  comment: string,
  signal?: AbortSignal,
): Promise<void> {
  const archive = await PartialFile.create(path);
  try {
    const entries: ZipEntry[] = [];
    for (const name of (await filesOf(folder)).sort(byDepth)) {
      signal?.throwIfAborted();
      const file = join(folder, name);
      entries.push(await copyInto(archive, file, name));
      await rm(file);
    }
    const offset = archive.position;
    for (const entry of entries) await archive.append(centralRecord(entry));
    const directory = { entries: entries.length, offset, bytes: archive.position - offset };
    await archive.append(endRecords(directory, comment));
    await archive.commit();
  } catch (error) {
    await archive.discard();
    throw error;
  }
}

async function copyInto(archive: PartialFile, path: string, name: string): Promise<ZipEntry> {
  const { size: length } = await stat(path);
  const offset = archive.position;
  await archive.append(localHeader(name, length));
  const file = await open(path);
  let crc = 0;
  try {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, Math.max(1, length)));
    for (let done = 0; done < length; ) {
      const { bytesRead } = await file.read(piece, 0, piece.length, done);
      if (bytesRead === 0) throw new Error(`${name} became shorter while it was archived`);
      const bytes = piece.subarray(0, bytesRead);
      crc = crc32(bytes, crc);
      await archive.append(bytes);
      done += bytesRead;
    }
  } finally {
    await file.close();
  }
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32LE(crc);
  await archive.writeAt(checksum, offset + CRC_AT);
  return { name, crc, length, offset };
}

/** The paths of all files below a folder, with `/` between names. */
async function filesOf(folder: string, prefix = ''): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
    const name = `${prefix}${entry.name}`;
    if (entry.isDirectory()) files.push(...(await filesOf(folder, `${name}/`)));
    else files.push(name);
  }
  return files;
}

/** Documents first, those of the outer groups before those of the inner ones; then the other files by their names. */
function byDepth(a: string, b: string): number {
  const [of, other] = [rankOf(a), rankOf(b)];
  return of - other || (a < b ? -1 : 1);
}

const rankOf = (name: string): number =>
  name.endsWith(DOCUMENT) ? name.split('/').length : Number.POSITIVE_INFINITY;
