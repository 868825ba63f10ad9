import { CorruptImageError } from '../../errors.js';
import { TAG } from '../../tiff/tags.js';
import type { Bytes } from '../bytes.js';
import { Directory, ReadBudget } from './directory.js';
import { Encoding } from './encoding.js';

const MAX_DIRECTORIES = 65_536;
/** Smaller versions of one image. */
const MAX_CHILDREN = 64;
/** The version number of a BigTIFF, where a classic TIFF has 42. */
const BIG_TIFF = 43;

/** The directories of a TIFF: its pages, and those that they point to. */
export class TiffFile {
  private constructor(
    private readonly directories: Directories,
    /** The images of the file, in its order. */
    readonly pages: readonly Directory[],
    /** Why the list of pages ended early; null where it did not. The pages before are whole. */
    readonly damage: CorruptImageError | null,
  ) {}

  /** @throws CorruptImageError where the first image's directory cannot be read */
  static async open(bytes: Bytes): Promise<TiffFile> {
    const head = await bytes.read(0, Math.min(16, bytes.length));
    const bigEndian = head.toString('latin1', 0, 2) === 'MM';
    const isBigTiff = head.length === 16 && head[bigEndian ? 3 : 2] === BIG_TIFF;
    const encoding = new Encoding(bigEndian, isBigTiff);
    if (isBigTiff && (encoding.u16(head, 4) !== 8 || encoding.u16(head, 6) !== 0)) {
      throw new CorruptImageError("the BigTIFF's header claims offsets that are not 8 bytes wide");
    }
    if (head.length < 8) throw new CorruptImageError('the TIFF is truncated: it has no header');
    const directories = new Directories(bytes, encoding);
    const { pages, damage } = await listPages(directories, encoding.word(head, isBigTiff ? 8 : 4));
    return new TiffFile(directories, pages, damage);
  }

  /** Reads the directories that a page points to by its SubIFDs: smaller versions of its image. */
  async children(page: Directory): Promise<Directory[]> {
    const children: Directory[] = [];
    for (const offset of Array.from(await page.numbers(TAG.subIfds, MAX_CHILDREN))) {
      children.push(await this.directories.at(offset));
    }
    return children;
  }
}

/** Follows the linked list of directories from its first; damage ends it, but does not lose the pages before. */
async function listPages(
  directories: Directories,
  first: number,
): Promise<{ readonly pages: readonly Directory[]; readonly damage: CorruptImageError | null }> {
  const pages: Directory[] = [];
  const seen = new Set<number>();
  for (let at = first; at !== 0; at = pages.at(-1)!.next) {
    if (seen.has(at)) {
      return { pages, damage: new CorruptImageError("the TIFF's directories form a loop") };
    }
    if (pages.length === MAX_DIRECTORIES) break;
    seen.add(at);
    try {
      pages.push(await directories.at(at));
    } catch (error) {
      if (pages.length === 0 || !(error instanceof CorruptImageError)) throw error;
      return { pages, damage: error };
    }
  }
  if (pages.length === 0) throw new CorruptImageError('the TIFF is truncated: it has no image');
  return { pages, damage: null };
}

/** Reads each directory once: many pages of a small file may point to the same one, or to overlapping ones. */
class Directories {
  readonly #known = new Map<number, Promise<Directory>>();
  readonly #budget: ReadBudget;
  /** Bytes of all directories together. */
  #length = 0;

  constructor(
    private readonly bytes: Bytes,
    private readonly encoding: Encoding,
  ) {
    this.#budget = new ReadBudget(bytes.length);
  }

  /** @throws CorruptImageError where there is none, or where all together are longer than the file */
  at(start: number): Promise<Directory> {
    const known = this.#known.get(start) ?? this.#read(start);
    this.#known.set(start, known);
    return known;
  }

  async #read(start: number): Promise<Directory> {
    const directory = await Directory.read(this.bytes, this.encoding, this.#budget, start);
    this.#length += directory.length;
    if (this.#length > this.bytes.length) throw new CorruptImageError("the TIFF's directories overlap");
    return directory;
  }
}
