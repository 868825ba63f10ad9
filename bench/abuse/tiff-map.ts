/** The bytes [start, stop) of a file. */
export interface Span {
  readonly start: number;
  readonly stop: number;
}

/** A tag of a directory, and where in the file its parts are. */
export interface TagPlace {
  readonly tag: number;
  readonly type: number;
  readonly count: number;
  /** The offset of the entry. */
  readonly at: number;
  /** Its values, inside the entry or elsewhere. */
  readonly values: Span;
}

/** A page's directory. */
export interface DirectoryPlace {
  /** The offset of the directory. */
  readonly at: number;
  readonly tags: ReadonlyMap<number, TagPlace>;
  readonly whole: Span;
  /** Its strips or tiles. */
  readonly chunks: readonly Span[];
}

const TYPE_BYTES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8];

/**
 * Where the parts of a valid TIFF are. It parses the file itself, so that what the mutations expect does not depend on
 * the reader under test.
 */
export class TiffMap {
  readonly bigEndian: boolean;
  readonly big: boolean;
  readonly pages: readonly DirectoryPlace[];

  constructor(readonly bytes: Buffer) {
    this.bigEndian = bytes.toString('latin1', 0, 2) === 'MM';
    this.big = this.read(2, 2) === 43;
    const pages: DirectoryPlace[] = [];
    for (let at = this.read(this.big ? 8 : 4, this.big ? 8 : 4); at !== 0; ) {
      const page = this.#directory(at);
      pages.push(page);
      at = this.read(page.whole.stop - (this.big ? 8 : 4), this.big ? 8 : 4);
    }
    this.pages = pages;
  }

  read(at: number, length: number): number {
    const { bytes, bigEndian } = this;
    if (length === 8) return Number(bigEndian ? bytes.readBigUInt64BE(at) : bytes.readBigUInt64LE(at));
    return bigEndian ? bytes.readUIntBE(at, length) : bytes.readUIntLE(at, length);
  }

  /** A copy of the file with one number replaced. */
  with(at: number, length: number, value: number): Buffer {
    return this.overwrite(Buffer.from(this.bytes), at, length, value);
  }

  /** Writes a number in the file's byte order; of one that does not fit, the lowest bits. */
  overwrite(bytes: Buffer, at: number, length: number, value: number): Buffer {
    const { bigEndian } = this;
    if (length === 8) {
      if (bigEndian) bytes.writeBigUInt64BE(BigInt(value), at);
      else bytes.writeBigUInt64LE(BigInt(value), at);
    } else {
      const low = value % 2 ** (8 * length);
      if (bigEndian) bytes.writeUIntBE(low, at, length);
      else bytes.writeUIntLE(low, at, length);
    }
    return bytes;
  }

  /** The value of a tag at an index. */
  value(place: TagPlace, index = 0): number {
    const size = TYPE_BYTES[place.type]!;
    return this.read(place.values.start + index * size, size);
  }

  /** A copy of the file in which one value of a tag is replaced. */
  withValue(place: TagPlace, value: number, index = 0): Buffer {
    const size = TYPE_BYTES[place.type]!;
    return this.with(place.values.start + index * size, size, value);
  }

  #directory(at: number): DirectoryPlace {
    const [countBytes, entryBytes, word] = this.big ? [8, 20, 8] : [2, 12, 4];
    const count = this.read(at, countBytes);
    const whole = { start: at, stop: at + countBytes + count * entryBytes + word };
    const tags = new Map<number, TagPlace>();
    for (let i = 0; i < count; i++) {
      const entry = at + countBytes + i * entryBytes;
      const [tag, type, values] = [this.read(entry, 2), this.read(entry + 2, 2), this.read(entry + 4, word)];
      const length = values * TYPE_BYTES[type]!;
      const here = entry + entryBytes - word;
      const start = length <= word ? here : this.read(here, word);
      tags.set(tag, { tag, type, count: values, at: entry, values: { start, stop: start + length } });
    }
    const [offsets, counts] = [tags.get(324) ?? tags.get(273), tags.get(325) ?? tags.get(279)];
    const chunks = Array.from({ length: offsets?.count ?? 0 }, (_, i) => {
      const start = this.value(offsets!, i);
      return { start, stop: start + this.value(counts!, i) };
    });
    return { at, tags, whole, chunks };
  }
}
