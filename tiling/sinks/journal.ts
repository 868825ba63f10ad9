import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { crc32, deflate, inflate } from 'node:zlib';
import type { Rect } from '../geometry.js';
import type { MaskArray, MaskSink } from '../sink.js';
import { LABEL_DEFLATE } from './label-deflate.js';

const compress = promisify(deflate);
const decompress = promisify(inflate);

/** Incremented with each change that an older version would misread. Keys of version 1 were incomplete. */
const FORMAT_VERSION = 2;
const MAGIC = Buffer.from(`unseam journal ${FORMAT_VERSION}\n`);
const ANY_MAGIC = /^unseam journal (\d{1,6})\n/;
/** A key is JSON of a few hundred bytes. */
const MAX_KEY_BYTES = 1 << 20;
/**
 * Of a record's header: type of values and plane, bytes of values, x, y, width, height, checksum of all of these. The
 * type is the lowest byte of its number; records from before there were stacks have 0 in the others, the plane.
 */
const RECORD_BYTES = 28;
const LABELS = 1;
const FLOATS = 2;
const PLANE_SHIFT = 8;

export interface JournalledBand {
  readonly rect: Rect;
  readonly data: MaskArray;
  /** Of a stack; 0 in any other image. */
  readonly plane: number;
}

/** A journal that was found, and discarded. */
export interface DiscardedJournal {
  /** Why it cannot be continued whatever its key; null where only its key differs. */
  readonly reason: string | null;
  /** Its key; empty where that cannot be read. */
  readonly key: string;
}

/**
 * The finished bands of a mask, in a file that survives the process, so that none is computed twice. The
 * journal ends before the first record that is incomplete or does not match its checksum.
 *
 *     magic, length of key, key, then for each band: record header, values (labels deflated, floats as they are)
 */
export class BandJournal implements MaskSink {
  #end: number;

  private constructor(
    private readonly file: FileHandle,
    start: number,
    /** What was discarded when this one was opened; null where nothing was. */
    readonly discarded: DiscardedJournal | null,
  ) {
    this.#end = start;
  }

  /**
   * Opens a journal, or starts one.
   * @param key everything that its bands depend on; bands with another key are discarded
   */
  static async open(path: string, key: string): Promise<BandJournal> {
    const file = await open(path, 'r+').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return open(path, 'w+');
    });
    try {
      const name = Buffer.from(key);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(name.length);
      const header = Buffer.concat([MAGIC, length, name]);
      const { bytesRead, buffer } = await file.read(Buffer.alloc(header.length), 0, header.length, 0);
      if (bytesRead === header.length && buffer.equals(header)) {
        return new BandJournal(file, header.length, null);
      }
      const discarded = bytesRead === 0 ? null : await describe(file);
      await file.truncate(0);
      await writeFully(file, header, 0);
      return new BandJournal(file, header.length, discarded);
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  /** The key of the journal in a file; null where there is none that this version can continue. */
  static async keyOf(path: string): Promise<string | null> {
    const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return null;
    });
    if (file === null) return null;
    try {
      const { reason, key } = await describe(file);
      return reason === null ? key : null;
    } finally {
      await file.close();
    }
  }

  /** Reads the bands so far, in their order. Must be read to its end before a band is written. */
  async *replay(): AsyncGenerator<JournalledBand> {
    for (let next = await this.#read(); next; next = await this.#read()) yield next;
    await this.file.truncate(this.#end);
  }

  /** Appends a band; resolves when it is on the disk. */
  async writeBand(rect: Rect, data: MaskArray, plane: number): Promise<void> {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const values = data instanceof Uint8Array ? await compress(bytes, LABEL_DEFLATE) : bytes;
    const record = Buffer.alloc(RECORD_BYTES);
    const type = data instanceof Uint8Array ? LABELS : FLOATS;
    const fields = [type | (plane << PLANE_SHIFT), values.length];
    for (const [i, value] of [...fields, rect.x, rect.y, rect.width, rect.height].entries()) {
      record.writeUInt32LE(value, 4 * i);
    }
    record.writeUInt32LE(checksum(record, values), 24);
    await writeFully(this.file, Buffer.concat([record, values]), this.#end);
    await this.file.datasync();
    this.#end += RECORD_BYTES + values.length;
  }

  /** Closes the file, and keeps it: the owner of its folder removes it. */
  async finish(): Promise<void> {
    await this.file.close();
  }

  /** Closes the file, and keeps it: the bands so far are what a retry continues from. */
  async abort(): Promise<void> {
    await this.file.close().catch(() => undefined);
  }

  async #read(): Promise<JournalledBand | null> {
    const record = Buffer.alloc(RECORD_BYTES);
    if ((await this.file.read(record, 0, RECORD_BYTES, this.#end)).bytesRead < RECORD_BYTES) return null;
    const [typeAndPlane, length, x, y, width, height] = [0, 4, 8, 12, 16, 20].map((at) =>
      record.readUInt32LE(at),
    ) as [number, number, number, number, number, number];
    const { size } = await this.file.stat();
    if (this.#end + RECORD_BYTES + length > size) return null;
    const values = Buffer.allocUnsafeSlow(length);
    await this.file.read(values, 0, length, this.#end + RECORD_BYTES);
    if (record.readUInt32LE(24) !== checksum(record, values)) return null;
    this.#end += RECORD_BYTES + length;
    const data =
      (typeAndPlane & 255) === LABELS
        ? new Uint8Array(await decompress(values))
        : new Float32Array(values.buffer, values.byteOffset, length / 4);
    return { rect: { x, y, width, height }, data, plane: typeAndPlane >>> PLANE_SHIFT };
  }
}

/** Writes all bytes: a disk that is nearly full accepts some of them first, and fails then. */
async function writeFully(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

/** Reads what a journal that cannot be continued says of itself. */
async function describe(file: FileHandle): Promise<DiscardedJournal> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0);
  const [magic, form] = ANY_MAGIC.exec(buffer.toString('latin1', 0, bytesRead)) ?? [];
  if (magic === undefined) return UNREADABLE;
  if (Number(form) !== FORMAT_VERSION) {
    const which = Number(form) > FORMAT_VERSION ? 'a later' : 'an earlier';
    const reason = `a journal of format version ${form}, from ${which} unseam; this one uses version ${FORMAT_VERSION}`;
    return { reason, key: '' };
  }
  const length = buffer.readUInt32LE(magic.length);
  if (length > MAX_KEY_BYTES) return UNREADABLE;
  const key = Buffer.alloc(length);
  const read = await file.read(key, 0, length, magic.length + 4);
  return { reason: null, key: key.toString('utf8', 0, read.bytesRead) };
}

const UNREADABLE: DiscardedJournal = { reason: 'a journal that cannot be read', key: '' };

function checksum(record: Buffer, values: Uint8Array): number {
  return crc32(values, crc32(record.subarray(0, 24)));
}
