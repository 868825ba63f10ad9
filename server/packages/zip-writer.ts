import { crc32 } from 'node:zlib';

/** A file of an archive. */
export interface ZipFile {
  /** Its path in the archive, with `/` between folders, in ASCII. */
  readonly name: string;
  readonly data: Uint8Array;
}

/** 1 January 1980, midnight: the first date that archives have, so that bytes depend on the files alone. */
const DATE = 0x21;
const VERSION = 20;
/** Lengths are of 32 bits: longer ones need another format. */
const MAX_BYTES = 2 ** 32 - 1;

/**
 * The parts of an archive, one after the other, of files that are stored as they are: weights do not compress, and what
 * compresses depends on the library's version. Equal files are equal bytes.
 *
 * @throws RangeError for more than 4 GiB, or 65,535 files
 */
export function zipParts(files: readonly ZipFile[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data } of files) {
    const path = Buffer.from(name, 'latin1');
    const facts = Buffer.alloc(26); // what an entry and the directory have in common
    facts.writeUInt16LE(VERSION, 0);
    facts.writeUInt16LE(DATE, 8);
    facts.writeUInt32LE(crc32(data), 10);
    facts.writeUInt32LE(data.length, 14);
    facts.writeUInt32LE(data.length, 18);
    facts.writeUInt16LE(path.length, 22);
    const entry = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), facts, path]);
    const listed = Buffer.alloc(46);
    listed.write('PK\x01\x02', 'latin1');
    listed.writeUInt16LE(VERSION, 4);
    facts.copy(listed, 6);
    listed.writeUInt32LE(offset, 42);
    directory.push(Buffer.concat([listed, path]));
    parts.push(entry, data);
    offset += entry.length + data.length;
    if (offset > MAX_BYTES) throw new RangeError('a package has at most 4 GiB');
  }
  if (files.length > 0xffff) throw new RangeError('a package has at most 65,535 files');
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(list.length, 12);
  end.writeUInt32LE(offset, 16);
  return [...parts, list, end];
}
