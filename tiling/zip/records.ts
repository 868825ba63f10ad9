/**
 * The records of ZIP archives as unseam writes and reads them (APPNOTE 6.3, section 4.3): nothing is compressed or
 * encrypted, names are UTF-8, and lengths and offsets are in the fields of 64 bits (ZIP64), however small they are.
 */

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const END = 0x06054b50;

/** Version 4.5, which ZIP64 needs. */
const VERSION = 45;
const UNIX = 3 << 8;
/** File, readable by all. */
const MODE = (0o100644 << 16) >>> 0;
const UTF_8 = 1 << 11;
/** The first day that the format knows, so that the same files make the same archive: 1 January 1980. */
const DATE = (1 << 5) | 1;
const EXTRA_64 = 1;
const NONE_16 = 0xffff;
const NONE_32 = 0xffffffff;

const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const END_64_BYTES = 56;
const LOCATOR_64_BYTES = 20;
const END_BYTES = 22;
/** What a record takes for its lengths and its offset in 64 bits. */
const EXTRA_BYTES = 28;
/** How many files an archive may have that is read again: the list of them is in memory then. */
export const MAX_FILES = 240_000;
/** The largest central directory that is read: of names of 64 characters, such as `labels/classes/0/c/65535/0/0`. */
export const MAX_DIRECTORY_BYTES = MAX_FILES * (CENTRAL_BYTES + 64 + EXTRA_BYTES);
/** Where a file's header has its checksum. */
export const CRC_AT = 14;

export interface ZipEntry {
  /** With `/` between folders. */
  readonly name: string;
  readonly crc: number;
  /** Bytes of its content. */
  readonly length: number;
  /** Of its header, from the start of the archive. */
  readonly offset: number;
}

/** The header in front of a file's content. */
export function localHeader(name: string, length: number): Buffer {
  const text = Buffer.from(name);
  const header = Buffer.alloc(LOCAL_BYTES + text.length + 20);
  header.writeUInt32LE(LOCAL, 0);
  header.writeUInt16LE(VERSION, 4);
  header.writeUInt16LE(UTF_8, 6);
  header.writeUInt16LE(DATE, 12);
  header.writeUInt32LE(NONE_32, 18);
  header.writeUInt32LE(NONE_32, 22);
  header.writeUInt16LE(text.length, 26);
  header.writeUInt16LE(20, 28);
  header.set(text, LOCAL_BYTES);
  writeExtra(header, LOCAL_BYTES + text.length, [length, length]);
  return header;
}

/** A file in the central directory. */
export function centralRecord({ name, crc, length, offset }: ZipEntry): Buffer {
  const text = Buffer.from(name);
  const record = Buffer.alloc(CENTRAL_BYTES + text.length + EXTRA_BYTES);
  record.writeUInt32LE(CENTRAL, 0);
  record.writeUInt16LE(UNIX | VERSION, 4);
  record.writeUInt16LE(VERSION, 6);
  record.writeUInt16LE(UTF_8, 8);
  record.writeUInt16LE(DATE, 14);
  record.writeUInt32LE(crc, 16);
  record.writeUInt32LE(NONE_32, 20);
  record.writeUInt32LE(NONE_32, 24);
  record.writeUInt16LE(text.length, 28);
  record.writeUInt16LE(EXTRA_BYTES, 30);
  record.writeUInt32LE(MODE, 38);
  record.writeUInt32LE(NONE_32, 42);
  record.set(text, CENTRAL_BYTES);
  writeExtra(record, CENTRAL_BYTES + text.length, [length, length, offset]);
  return record;
}

/** What follows the central directory: its place in either width, and a comment. */
export function endRecords(
  directory: { readonly entries: number; readonly offset: number; readonly bytes: number },
  comment: string,
): Buffer {
  const { entries, offset, bytes } = directory;
  const text = Buffer.from(comment);
  const end = Buffer.alloc(END_64_BYTES + LOCATOR_64_BYTES + END_BYTES + text.length);
  end.writeUInt32LE(END_64, 0);
  end.writeBigUInt64LE(BigInt(END_64_BYTES - 12), 4);
  end.writeUInt16LE(UNIX | VERSION, 12);
  end.writeUInt16LE(VERSION, 14);
  for (const [i, value] of [entries, entries, bytes, offset].entries()) {
    end.writeBigUInt64LE(BigInt(value), 24 + 8 * i);
  }
  end.writeUInt32LE(LOCATOR_64, END_64_BYTES);
  end.writeBigUInt64LE(BigInt(offset + bytes), END_64_BYTES + 8);
  end.writeUInt32LE(1, END_64_BYTES + 16);
  const last = END_64_BYTES + LOCATOR_64_BYTES;
  end.writeUInt32LE(END, last);
  for (const at of [8, 10]) end.writeUInt16LE(NONE_16, last + at);
  for (const at of [12, 16]) end.writeUInt32LE(NONE_32, last + at);
  end.writeUInt16LE(text.length, last + 20);
  end.set(text, last + END_BYTES);
  return end;
}

function writeExtra(record: Buffer, at: number, values: readonly number[]): void {
  record.writeUInt16LE(EXTRA_64, at);
  record.writeUInt16LE(8 * values.length, at + 2);
  for (const [i, value] of values.entries()) record.writeBigUInt64LE(BigInt(value), at + 4 + 8 * i);
}

/** Bytes of what `endRecords` makes, with a comment of up to 64 KiB. */
export const MAX_END_BYTES = END_64_BYTES + LOCATOR_64_BYTES + END_BYTES + NONE_16;

/**
 * Reads where the central directory is.
 * @param tail the last bytes of an archive
 * @throws Error for what this module has not written
 */
export function readEnd(tail: Buffer): { readonly offset: number; readonly bytes: number } {
  for (let last = tail.length - END_BYTES; last >= END_64_BYTES + LOCATOR_64_BYTES; last--) {
    if (tail.readUInt32LE(last) !== END || tail.readUInt16LE(last + 20) !== tail.length - last - END_BYTES) {
      continue;
    }
    const start = last - LOCATOR_64_BYTES - END_64_BYTES;
    if (tail.readUInt32LE(start) !== END_64) break;
    return { bytes: numberAt(tail, start + 40), offset: numberAt(tail, start + 48) };
  }
  throw damaged();
}

/**
 * Lists where the records of a central directory begin.
 * @throws Error for what this module has not written
 */
export function recordPositions(directory: Buffer): number[] {
  const positions: number[] = [];
  for (let at = 0; at < directory.length; ) {
    if (at + CENTRAL_BYTES > directory.length || directory.readUInt32LE(at) !== CENTRAL) throw damaged();
    const [nameBytes, extraBytes] = [directory.readUInt16LE(at + 28), directory.readUInt16LE(at + 30)];
    const next = at + CENTRAL_BYTES + nameBytes + extraBytes;
    if (next > directory.length || extraBytes !== EXTRA_BYTES) throw damaged();
    positions.push(at);
    at = next;
  }
  return positions;
}

/** The name of a file whose record is at a position, in UTF-8. */
export const nameAt = (directory: Buffer, at: number): Buffer =>
  directory.subarray(at + CENTRAL_BYTES, at + CENTRAL_BYTES + directory.readUInt16LE(at + 28));

/** The file whose record is at a position. */
export function entryAt(directory: Buffer, at: number): ZipEntry {
  const name = nameAt(directory, at);
  const extra = at + CENTRAL_BYTES + name.length;
  return {
    name: name.toString(),
    crc: directory.readUInt32LE(at + 16),
    length: numberAt(directory, extra + 4),
    offset: numberAt(directory, extra + 20),
  };
}

/** Where the content of a file begins. */
export const contentAt = ({ name, offset }: ZipEntry): number =>
  offset + LOCAL_BYTES + Buffer.byteLength(name) + 20;

function numberAt(record: Buffer, at: number): number {
  const value = Number(record.readBigUInt64LE(at));
  if (!Number.isSafeInteger(value)) throw damaged();
  return value;
}

const damaged = () => new Error('the archive of a result is damaged');
