import { CorruptImageError } from '../../errors.js';
import { TAG } from '../../tiff/tags.js';
import type { Bytes } from '../bytes.js';
import { bytesPerValue, type Encoding, INTEGER_TYPES, UNSIGNED_TYPES } from './encoding.js';

/** Tags that are not integers: texts, bytes and fractions. All others that are read decide where pixels are. */
const NON_INTEGER_TAGS: ReadonlySet<number> = new Set([
  TAG.description,
  TAG.software,
  TAG.xmp,
  TAG.jpegTables,
  TAG.xResolution,
  TAG.yResolution,
]);
const MAX_TAGS = 4096;
/** Values of a tag, except for lists of chunks, texts and palettes. */
const MAX_VALUES = 4096;
/** The longest text: an OME-XML may describe many planes. */
const MAX_TEXT_BYTES = 16 << 20;
/** What the tags of one file may have together, each time they are read. */
const MAX_READ_BYTES = 512 << 20;
/** Tags are read more than once, and in small files several may share bytes. */
const READ_BUDGET = { timesFile: 8, extraBytes: 64 << 20 } as const;
const KNOWN_TAGS: ReadonlySet<number> = new Set(Object.values(TAG));

/** Where a tag's values are. */
interface Entry {
  readonly type: number;
  readonly count: number;
  readonly offset: number;
}

/**
 * How many more bytes of tags may be read from a file. Tags of different pages can claim the same bytes, so
 * that a small file could take the memory of a large one many times over.
 */
export class ReadBudget {
  #bytes: number;

  constructor(fileBytes: number) {
    this.#bytes = Math.min(MAX_READ_BYTES, READ_BUDGET.timesFile * fileBytes + READ_BUDGET.extraBytes);
  }

  /** @throws CorruptImageError where the budget is exceeded */
  take(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#bytes < 0) throw new CorruptImageError('the TIFF claims more in its tags than it can hold');
  }
}

/** The tags of one image (an IFD, image file directory). Values are read on demand. */
export class Directory {
  constructor(
    readonly bytes: Bytes,
    private readonly budget: ReadBudget,
    readonly encoding: Encoding,
    private readonly entries: ReadonlyMap<number, Entry>,
    /** Offset of the next image's directory; 0 for the last. */
    readonly next: number,
    /** Bytes of the directory itself. */
    readonly length: number,
  ) {}

  /** Reads the directory at `start`, without the values that are stored elsewhere. */
  static async read(bytes: Bytes, encoding: Encoding, budget: ReadBudget, start: number): Promise<Directory> {
    const at = (position: number, length: number): Promise<Buffer> => {
      if (!(position >= 8 && position + length <= bytes.length)) {
        throw new CorruptImageError(
          `the TIFF is truncated: its directory is beyond its end (${bytes.length} bytes)`,
        );
      }
      return bytes.read(position, length);
    };
    const { isBigTiff } = encoding;
    const [countBytes, entryBytes, inlineBytes] = isBigTiff ? [8, 20, 8] : [2, 12, 4];
    const head = await at(start, countBytes);
    const tags = isBigTiff ? encoding.u64(head, 0) : encoding.u16(head, 0);
    if (tags > MAX_TAGS) throw new CorruptImageError(`the TIFF's directory claims ${tags} tags`);
    const table = start + countBytes;
    const body = await at(table, tags * entryBytes + inlineBytes);
    const entries = new Map<number, Entry>();
    for (let i = 0; i < tags; i++) {
      const entry = i * entryBytes;
      const tag = encoding.u16(body, entry);
      if (!KNOWN_TAGS.has(tag)) continue;
      const type = encoding.u16(body, entry + 2);
      const count = encoding.word(body, entry + 4);
      const inline = entry + entryBytes - inlineBytes;
      const isInline = count * bytesPerValue(type) <= inlineBytes;
      entries.set(tag, { type, count, offset: isInline ? table + inline : encoding.word(body, inline) });
    }
    const next = encoding.word(body, tags * entryBytes);
    return new Directory(bytes, budget, encoding, entries, next, countBytes + body.length);
  }

  get bigEndian(): boolean {
    return this.encoding.bigEndian;
  }

  has(tag: number): boolean {
    return this.entries.has(tag);
  }

  /**
   * Reads the values of a tag; none where it is absent.
   *
   * @param maxValues of such a tag
   * @throws CorruptImageError for more values, and for values beyond the file's end: a few wrong bytes could
   *   otherwise take gigabytes, or be read as zeros
   */
  async numbers(tag: number, maxValues = MAX_VALUES): Promise<ArrayLike<number>> {
    const entry = this.entries.get(tag);
    if (!entry) return [];
    const { type, count, offset } = entry;
    if (!NON_INTEGER_TAGS.has(tag) && !INTEGER_TYPES.has(type)) {
      throw new CorruptImageError(`the TIFF's tag ${tag} has type ${type}, which is not an integer type`);
    }
    const length = count * bytesPerValue(type);
    if (offset + length > this.bytes.length) {
      throw new CorruptImageError(
        `the TIFF is truncated or damaged: tag ${tag} claims ${length} bytes at ${offset} of ${this.bytes.length}`,
      );
    }
    if (count > maxValues) {
      throw new CorruptImageError(
        `the TIFF's tag ${tag} claims ${count} values; at most ${maxValues} are valid`,
      );
    }
    this.budget.take(length);
    return this.encoding.values(await this.bytes.read(offset, length), type, count);
  }

  /**
   * Reads a tag of one value.
   * @throws CorruptImageError where it has several: which of them would be meant?
   */
  async number(tag: number, otherwise: number): Promise<number> {
    const [value = otherwise, ...more] = Array.from(await this.numbers(tag));
    if (more.length === 0) return value;
    throw new CorruptImageError(`the TIFF's tag ${tag} has ${more.length + 1} values instead of one`);
  }

  /**
   * Reads a tag that counts something.
   * @throws CorruptImageError where it is not one positive integer: a damaged tag may have several values
   */
  async positive(tag: number, what: string, otherwise?: number): Promise<number> {
    const values = this.has(tag) || otherwise === undefined ? await this.numbers(tag) : [otherwise];
    const value = values[0];
    const isUnsigned = UNSIGNED_TYPES.has(this.entries.get(tag)?.type ?? 4);
    if (isUnsigned && values.length === 1 && value !== undefined && Number.isInteger(value) && value >= 1) {
      return value;
    }
    throw new CorruptImageError(`the TIFF's ${what} is not a positive integer`);
  }

  /** Reads a tag of text up to its terminating zero; empty where it is absent. */
  async text(tag: number): Promise<string> {
    const values = await this.numbers(tag, MAX_TEXT_BYTES);
    const bytes = Buffer.from(values instanceof Uint8Array ? values : Uint8Array.from(values));
    const text = bytes.toString('utf8');
    const end = text.indexOf('\0');
    return end < 0 ? text : text.slice(0, end);
  }
}
