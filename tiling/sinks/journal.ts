import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { crc32, deflate, inflate } from 'node:zlib';
import type { Rect } from '../geometry.js';
import type { MaskArray, MaskSink } from '../sink.js';

const compress = promisify(deflate);
const decompress = promisify(inflate);

/** A change that an earlier version would misread makes a new form. Keys of form 1 lacked half of what they should say. */
const FORM = 2;
const MAGIC = Buffer.from(`unseam journal ${FORM}\n`);
const ANY_MAGIC = /^unseam journal (\d{1,6})\n/;
/** A key is JSON of a few hundred bytes. */
const MAX_KEY_BYTES = 1 << 20;
/** Of a record: type of values, bytes behind it, x, y, width, height, checksum of all that. */
const RECORD_BYTES = 28;
const LABELS = 1;
const FLOATS = 2;

export interface JournalledBand {
  readonly rect: Rect;
  readonly data: MaskArray;
}

/** A journal that was there and is not gone on with. */
export interface Earlier {
  /** What its form is, in words; null where it is ours, and only its key differs. */
  readonly form: string | null;
  readonly key: string;
}

/**
 * The finished bands of a mask, in a file that survives the process: what was computed once is not
 * computed again. A record that is torn, or not what its checksum says, ends the journal before it.
 *
 *     magic, length of key, key, then for each band: record, values (labels deflated, floats as they are)
 */
export class BandJournal implements MaskSink {
  #end: number;

  private constructor(
    private readonly file: FileHandle,
    start: number,
    /** What was dropped when this one was opened; null where nothing was. */
    readonly earlier: Earlier | null,
  ) {
    this.#end = start;
  }

  /**
   * Opens a journal, or starts one.
   * @param key what its bands depend on; the bands of another key are dropped
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
      const earlier = bytesRead === 0 ? null : await readEarlier(file);
      await file.truncate(0);
      await writeAll(file, header, 0);
      return new BandJournal(file, header.length, earlier);
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  /** The bands so far, in their order; to be read to the end before one is written. */
  async *replay(): AsyncGenerator<JournalledBand> {
    for (let next = await this.#read(); next; next = await this.#read()) yield next;
    await this.file.truncate(this.#end);
  }

  /** Resolves when the band is on the disk. */
  async writeBand(rect: Rect, data: MaskArray): Promise<void> {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const values = data instanceof Uint8Array ? await compress(bytes, { level: 1 }) : bytes;
    const record = Buffer.alloc(RECORD_BYTES);
    const fields = [data instanceof Uint8Array ? LABELS : FLOATS, values.length];
    for (const [i, value] of [...fields, rect.x, rect.y, rect.width, rect.height].entries()) {
      record.writeUInt32LE(value, 4 * i);
    }
    record.writeUInt32LE(checksum(record, values), 24);
    await writeAll(this.file, Buffer.concat([record, values]), this.#end);
    await this.file.datasync();
    this.#end += RECORD_BYTES + values.length;
  }

  /** The journal stays: whoever owns its folder removes it. */
  async finish(): Promise<void> {
    await this.file.close();
  }

  async abort(): Promise<void> {
    await this.file.close().catch(() => undefined);
  }

  async #read(): Promise<JournalledBand | null> {
    const record = Buffer.alloc(RECORD_BYTES);
    if ((await this.file.read(record, 0, RECORD_BYTES, this.#end)).bytesRead < RECORD_BYTES) return null;
    const [type, length, x, y, width, height] = [0, 4, 8, 12, 16, 20].map((at) =>
      record.readUInt32LE(at),
    ) as [number, number, number, number, number, number];
    const { size } = await this.file.stat();
    if (this.#end + RECORD_BYTES + length > size) return null;
    const values = Buffer.allocUnsafeSlow(length);
    await this.file.read(values, 0, length, this.#end + RECORD_BYTES);
    if (record.readUInt32LE(24) !== checksum(record, values)) return null;
    this.#end += RECORD_BYTES + length;
    const data =
      type === LABELS
        ? new Uint8Array(await decompress(values))
        : new Float32Array(values.buffer, values.byteOffset, length / 4);
    return { rect: { x, y, width, height }, data };
  }
}

/** Writes all: a disk that is nearly full takes a part first, and fails then. */
async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

/** What another journal says of itself. */
async function readEarlier(file: FileHandle): Promise<Earlier> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0);
  const [magic, form] = ANY_MAGIC.exec(buffer.toString('latin1', 0, bytesRead)) ?? [];
  if (magic === undefined) return { form: 'a journal that cannot be read', key: '' };
  if (Number(form) !== FORM) {
    const which = Number(form) > FORM ? 'a later' : 'an earlier';
    return {
      form: `a journal of form ${form}, from ${which} version of unseam; this one uses form ${FORM}`,
      key: '',
    };
  }
  const length = buffer.readUInt32LE(magic.length);
  if (length > MAX_KEY_BYTES) return { form: 'a journal that cannot be read', key: '' };
  const key = Buffer.alloc(length);
  const read = await file.read(key, 0, length, magic.length + 4);
  return { form: null, key: key.toString('utf8', 0, read.bytesRead) };
}

function checksum(record: Buffer, values: Uint8Array): number {
  return crc32(values, crc32(record.subarray(0, 24)));
}
