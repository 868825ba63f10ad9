import { crc32 } from 'node:zlib';
import { CRC_AT, centralRecord, endRecords, localHeader } from '../../tiling/zip/records.js';

/** A file of an archive. */
export interface ZipFile {
  /** Its path in the archive, with `/` between folders. */
  readonly name: string;
  readonly data: Uint8Array;
}

/**
 * The parts of an archive, one after the other, of files that are stored as they are: weights do not compress, and what
 * compresses depends on the library's version. Equal files are equal bytes.
 */
export function zipParts(files: readonly ZipFile[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data } of files) {
    const crc = crc32(data);
    const header = localHeader(name, data.length);
    header.writeUInt32LE(crc, CRC_AT);
    directory.push(centralRecord({ name, crc, length: data.length, offset }));
    parts.push(header, data);
    offset += header.length + data.length;
  }
  const list = Buffer.concat(directory);
  return [...parts, list, endRecords({ entries: files.length, offset, bytes: list.length }, '')];
}
