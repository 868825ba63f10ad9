import { CorruptImageError } from '../../errors.js';
import type { Bytes } from '../bytes.js';
import { TAG } from './tags.js';

/** Bytes of a value of each TIFF type, by the type's number. */
const TYPE_BYTES: Record<number, number> = {
  ...{ 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4 },
  ...{ 16: 8, 17: 8, 18: 8 },
};
/** BYTE, SHORT, LONG, IFD and their 64-bit kin: what may count something. */
const INTEGER_TYPES = new Set([1, 3, 4, 13, 16, 18]);
/** Types of integers, those with a sign too: some programs write nothing else. */
const WHOLE_TYPES = new Set([...INTEGER_TYPES, 6, 8, 9, 17]);
/** What is no integer: texts, bytes and fractions. All other tags that are read decide how pixels are found. */
const OTHER_TAGS = new Set<number>([
  ...[TAG.description, TAG.software, TAG.xmp, TAG.jpegTables],
  ...[TAG.xResolution, TAG.yResolution],
]);
const MAX_TAGS = 4096;
const MAX_DIRECTORIES = 65_536;
/** Values of a tag at most, but for lists of chunks, texts and palettes. */
const MAX_VALUES = 4096;
/** Of a tag of text: an OME-XML may describe many planes. */
const MAX_TEXT_BYTES = 16 << 20;
/** Of tables that JPEG tiles share. */
export const MAX_TABLE_BYTES = 1 << 16;
/** Of a list of chunks: one entry for each. */
export const MAX_CHUNKS = 1 << 24;
/** Smaller versions of one image. */
const MAX_CHILDREN = 64;
/** What all tags of a file together may be, each time that they are read. */
const MAX_READ_BYTES = 512 << 20;
/** Tags are read more than once, and in small files several may share bytes. */
const READS = { times: 8, extra: 64 << 20 };
const READ_TAGS = new Set<number>(Object.values(TAG));

interface Entry {
  readonly type: number;
  readonly count: number;
  /** Where the values are. */
  readonly offset: number;
}

/** How a TIFF writes numbers: its byte order, and whether offsets are 64 bits wide (BigTIFF). */
class Encoding {
  constructor(
    readonly bigEndian: boolean,
    readonly big: boolean,
  ) {}

  u16(b: Buffer, at: number): number {
    return this.bigEndian ? b.readUInt16BE(at) : b.readUInt16LE(at);
  }

  u32(b: Buffer, at: number): number {
    return this.bigEndian ? b.readUInt32BE(at) : b.readUInt32LE(at);
  }

  u64(b: Buffer, at: number): number {
    return Number(this.bigEndian ? b.readBigUInt64BE(at) : b.readBigUInt64LE(at));
  }

  /** A count or an offset. */
  word(b: Buffer, at: number): number {
    return this.big ? this.u64(b, at) : this.u32(b, at);
  }

  /** Values of one tag; fractions as quotients, bytes of what is not a number. */
  values(b: Buffer, type: number, count: number): Float64Array | Uint32Array | Uint16Array | Uint8Array {
    const view = new DataView(b.buffer, b.byteOffset, b.byteLength);
    const little = !this.bigEndian;
    const fill = <Values extends Float64Array | Uint32Array | Uint16Array>(
      values: Values,
      value: (at: number) => number,
    ) => {
      const step = TYPE_BYTES[type]!;
      for (let i = 0; i < count; i++) values[i] = value(i * step);
      return values;
    };
    const floats = (value: (at: number) => number) => fill(new Float64Array(count), value);
    switch (type) {
      case 3:
        return fill(new Uint16Array(count), (at) => view.getUint16(at, little));
      case 4:
      case 13:
        return fill(new Uint32Array(count), (at) => view.getUint32(at, little));
      case 5:
        return floats((at) => view.getUint32(at, little) / view.getUint32(at + 4, little));
      case 6:
        return floats((at) => view.getInt8(at));
      case 8:
        return floats((at) => view.getInt16(at, little));
      case 9:
        return floats((at) => view.getInt32(at, little));
      case 10:
        return floats((at) => view.getInt32(at, little) / view.getInt32(at + 4, little));
      case 11:
        return floats((at) => view.getFloat32(at, little));
      case 12:
        return floats((at) => view.getFloat64(at, little));
      case 16:
      case 18:
        return floats((at) => Number(view.getBigUint64(at, little)));
      case 17:
        return floats((at) => Number(view.getBigInt64(at, little)));
      default:
        return new Uint8Array(b);
    }
  }
}

/**
 * How many bytes of tags a file may still have read. Tags of different pages can claim the same bytes, so
 * that a small file could ask for the memory of a large one many times.
 */
class Allowance {
  #left: number;

  constructor(fileBytes: number) {
    this.#left = Math.min(MAX_READ_BYTES, READS.times * fileBytes + READS.extra);
  }

  /** @throws CorruptImageError where there is none left */
  take(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0) throw new CorruptImageError('the TIFF claims more in its tags than it can hold');
  }
}

/** One image's tags. Values are read when they are asked for. */
export class Directory {
  constructor(
    readonly bytes: Bytes,
    private readonly allowance: Allowance,
    readonly encoding: Encoding,
    private readonly entries: ReadonlyMap<number, Entry>,
    /** Where the next image's directory is; 0 for the last. */
    readonly next: number,
    /** Bytes of the directory itself. */
    readonly length: number,
  ) {}

  get bigEndian(): boolean {
    return this.encoding.bigEndian;
  }

  has(tag: number): boolean {
    return this.entries.has(tag);
  }

  /**
   * A tag's values; none where it is absent.
   * @throws CorruptImageError where they would lie outside the file: a few wrong bytes could otherwise
   *   ask for gigabytes, or be read as zeros; and for more values than such a tag has
   */
  async numbers(tag: number, most = MAX_VALUES): Promise<ArrayLike<number>> {
    const entry = this.entries.get(tag);
    if (!entry) return [];
    const { type, count, offset } = entry;
    if (!OTHER_TAGS.has(tag) && !WHOLE_TYPES.has(type)) {
      throw new CorruptImageError(`the TIFF's tag ${tag} is of type ${type}, which is none of integers`);
    }
    const length = count * (TYPE_BYTES[type] ?? 0);
    if (offset + length > this.bytes.length) {
      throw new CorruptImageError(
        `the TIFF is cut short, or damaged: tag ${tag} claims ${length} bytes at ${offset} of ${this.bytes.length}`,
      );
    }
    if (count > most) {
      throw new CorruptImageError(`the TIFF's tag ${tag} claims ${count} values; it has ${most} at most`);
    }
    this.allowance.take(length);
    return this.encoding.values(await this.bytes.read(offset, length), type, count);
  }

  /**
   * A tag of one value.
   * @throws CorruptImageError where it holds several: which of them would be meant?
   */
  async number(tag: number, otherwise: number): Promise<number> {
    const [value = otherwise, ...more] = Array.from(await this.numbers(tag));
    if (more.length === 0) return value;
    throw new CorruptImageError(`the TIFF's tag ${tag} holds ${more.length + 1} values; it has one`);
  }

  /**
   * A tag that counts something.
   * @throws CorruptImageError where it is no single positive integer: a damaged tag may hold several values
   */
  async positive(tag: number, what: string, otherwise?: number): Promise<number> {
    const values = this.has(tag) || otherwise === undefined ? await this.numbers(tag) : [otherwise];
    const [value] = [values[0]];
    const type = this.entries.get(tag)?.type ?? 4;
    if (
      INTEGER_TYPES.has(type) &&
      values.length === 1 &&
      value !== undefined &&
      Number.isInteger(value) &&
      value >= 1
    )
      return value;
    throw new CorruptImageError(`the TIFF's ${what} is no positive integer`);
  }

  /** A tag of text, without what follows its final zero; empty where it is absent. */
  async text(tag: number): Promise<string> {
    const values = await this.numbers(tag, MAX_TEXT_BYTES);
    const text = Buffer.from(values instanceof Uint8Array ? values : Uint8Array.from(values)).toString(
      'utf8',
    );
    const end = text.indexOf('\0');
    return end < 0 ? text : text.slice(0, end);
  }
}

/** The directories of a TIFF: its pages, and where they lead. */
export class TiffFile {
  private constructor(
    private readonly directories: Directories,
    /** The images of the file, in its order. */
    readonly pages: readonly Directory[],
    /** What ended the list before its end, if anything did: the images before it are whole. */
    readonly damage: CorruptImageError | null,
  ) {}

  /** @throws CorruptImageError where the first image's directory cannot be read */
  static async open(bytes: Bytes): Promise<TiffFile> {
    const head = await bytes.read(0, Math.min(16, bytes.length));
    const bigEndian = head.toString('latin1', 0, 2) === 'MM';
    const big = head.length === 16 && head[bigEndian ? 3 : 2] === 43;
    const encoding = new Encoding(bigEndian, big);
    if (big && (encoding.u16(head, 4) !== 8 || encoding.u16(head, 6) !== 0)) {
      throw new CorruptImageError('the BigTIFF has a header of offsets that are not 8 bytes wide');
    }
    if (head.length < 8) throw new CorruptImageError('the TIFF is cut short: it has no header');
    const pages: Directory[] = [];
    const seen = new Set<number>();
    const directories = new Directories(bytes, encoding);
    let damage: CorruptImageError | null = null;
    for (let at = encoding.word(head, big ? 8 : 4); at !== 0 && !seen.has(at); at = pages.at(-1)!.next) {
      seen.add(at);
      try {
        pages.push(await directories.at(at));
      } catch (error) {
        // What lies behind a damaged directory is lost; the images before it are not.
        if (pages.length === 0 || !(error instanceof CorruptImageError)) throw error;
        damage = error;
        break;
      }
      if (pages.length >= MAX_DIRECTORIES) break;
    }
    if (pages.length === 0) throw new CorruptImageError('the TIFF is cut short: it has no image');
    if (damage === null && seen.has(pages.at(-1)!.next)) {
      damage = new CorruptImageError("the TIFF's directories lead back to one before them");
    }
    return new TiffFile(directories, pages, damage);
  }

  /** The directories that a page points to by its SubIFDs: smaller versions of its image. */
  async children(page: Directory): Promise<Directory[]> {
    const found: Directory[] = [];
    for (const offset of Array.from(await page.numbers(TAG.subIfds, MAX_CHILDREN))) {
      found.push(await this.directories.at(offset));
    }
    return found;
  }
}

/**
 * Reads directories, each of them once: many pages of a small file may lead to the same, or to places that
 * overlap.
 */
class Directories {
  readonly #known = new Map<number, Promise<Directory>>();
  readonly #allowance: Allowance;
  /** Of all directories together. */
  #length = 0;

  constructor(
    private readonly bytes: Bytes,
    private readonly encoding: Encoding,
  ) {
    this.#allowance = new Allowance(bytes.length);
  }

  /** @throws CorruptImageError where there is none, or where all together are longer than the file */
  at(start: number): Promise<Directory> {
    const known = this.#known.get(start) ?? this.#read(start);
    this.#known.set(start, known);
    return known;
  }

  async #read(start: number): Promise<Directory> {
    const directory = await readDirectory(this.bytes, this.encoding, this.#allowance, start);
    this.#length += directory.length;
    if (this.#length > this.bytes.length) throw new CorruptImageError("the TIFF's directories overlap");
    return directory;
  }
}

async function readDirectory(
  bytes: Bytes,
  encoding: Encoding,
  allowance: Allowance,
  start: number,
): Promise<Directory> {
  const at = (position: number, length: number): Promise<Buffer> => {
    if (!(position >= 8 && position + length <= bytes.length)) {
      throw new CorruptImageError(
        `the TIFF is cut short: its directory lies behind its end (${bytes.length} bytes)`,
      );
    }
    return bytes.read(position, length);
  };
  const { big } = encoding;
  const [countBytes, entryBytes, inline] = big ? [8, 20, 8] : [2, 12, 4];
  const head = await at(start, countBytes);
  const tags = big ? encoding.u64(head, 0) : encoding.u16(head, 0);
  if (tags > MAX_TAGS) throw new CorruptImageError(`the TIFF's directory claims ${tags} tags`);
  const table = start + countBytes;
  const body = await at(table, tags * entryBytes + inline);
  const entries = new Map<number, Entry>();
  for (let i = 0; i < tags; i++) {
    const entry = i * entryBytes;
    const tag = encoding.u16(body, entry);
    if (!READ_TAGS.has(tag)) continue;
    const type = encoding.u16(body, entry + 2);
    const count = encoding.word(body, entry + 4);
    const here = entry + entryBytes - inline;
    const fits = count * (TYPE_BYTES[type] ?? 0) <= inline;
    entries.set(tag, {
      type,
      count,
      offset: fits ? table + here : encoding.word(body, here),
    });
  }
  const next = encoding.word(body, tags * entryBytes);
  return new Directory(bytes, allowance, encoding, entries, next, countBytes + body.length);
}
