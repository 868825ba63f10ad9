import type { Raster } from '../../tiling/raster.js';
import { RequestError } from '../contract/errors.js';

/** The class index of pixels that do not count: no class has it. */
export const IGNORED = 255;

/** How stored labels name classes. */
export interface LabelRules {
  readonly classes: number;
  /** The stored gray value that does not count, if there is one. */
  readonly ignore: number | null;
  /** Colours of label pictures in RGB, as 0xrrggbb, and the class that each means, or `IGNORED`. */
  readonly legend: ReadonlyMap<number, number> | null;
}

/** Pixels of each stored label value. */
export type LabelCounts = ReadonlyMap<number, number>;

/** What stored label values occur, and what class each means. */
export class LabelCodec {
  readonly #counts = new Map<number, number>();
  #table: Uint8Array | null = null;

  constructor(private readonly rules: LabelRules) {}

  /**
   * Counts the values of stored labels; every label picture is to be seen before any is decoded.
   * @param own where the counts of a picture are kept, besides those of all
   */
  count(raster: Raster, own: Map<number, number> = new Map()): void {
    const { data, channels } = raster;
    const tally = channels === 1 ? new Float64Array(65536) : null;
    const add = (value: number, n: number) => {
      for (const counts of [this.#counts, own]) counts.set(value, (counts.get(value) ?? 0) + n);
    };
    for (let at = 0; at < data.length; at += channels) {
      const value = tally ? data[at]! : colourAt(data, at);
      if (tally?.[value] === undefined) add(value, 1);
      else tally[value]!++;
    }
    for (const [value, n] of tally?.entries() ?? []) if (n > 0) add(value, n);
  }

  /**
   * Pixels of each class; what is ignored is in none.
   * @throws RequestError for a value that means no class
   */
  frequencies(counts: LabelCounts = this.#counts): number[] {
    const frequencies = Array<number>(this.rules.classes).fill(0);
    for (const [value, n] of counts) {
      const index = this.#classOf(value);
      if (index !== IGNORED) frequencies[index]! += n;
    }
    return frequencies;
  }

  /** Class indices of stored labels, `IGNORED` where a pixel does not count. */
  decode({ data, channels, width, height }: Raster): Uint8Array {
    const classes = new Uint8Array(width * height);
    if (channels === 1) {
      this.#table ??= this.#tabulate();
      for (let at = 0; at < classes.length; at++) classes[at] = this.#table[data[at]!]!;
    } else {
      for (let at = 0; at < classes.length; at++) classes[at] = this.#classOf(colourAt(data, at * channels));
    }
    return classes;
  }

  #tabulate(): Uint8Array {
    const table = new Uint8Array(65536).fill(IGNORED);
    for (const value of this.#counts.keys()) table[value] = this.#classOf(value);
    return table;
  }

  #classOf(value: number): number {
    const { classes, ignore, legend } = this.rules;
    if (legend) {
      const index = legend.get(value);
      if (index === undefined) {
        throw bad(
          `the labels hold the colour #${value.toString(16).padStart(6, '0')}, which --legend does not name`,
        );
      }
      return index;
    }
    if (value === ignore) return IGNORED;
    if (classes === 2 && value === 255 && ![...this.#counts.keys()].some((v) => v > 0 && v < 255)) return 1;
    if (value < classes && Number.isInteger(value) && value >= 0) return value;
    const two = classes === 2 ? ', or 0 and 255' : '';
    throw bad(
      `the labels hold the value ${value}; ${classes} classes are 0 to ${classes - 1}${two}; ` +
        'name with --ignore a value that does not count, or say with --instances that each cell has a number of its own',
    );
  }
}

const bad = (message: string): RequestError => new RequestError('bad-data', message);

const colourAt = (data: ArrayLike<number>, at: number): number =>
  data[at]! * 65536 + data[at + 1]! * 256 + data[at + 2]!;
