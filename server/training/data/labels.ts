import type { Raster } from '../../../tiling/raster.js';
import { RequestError } from '../../contract/errors.js';

/** The class index of pixels that do not count; no class has it. */
export const IGNORED = 255;

/** How stored labels name classes. */
export interface LabelRules {
  /** Number of classes, at least 2. */
  readonly classes: number;
  /** The stored gray value of pixels that do not count, such as 255; null for none. */
  readonly ignore: number | null;
  /** For labels in colour, the class of each colour 0xrrggbb, or `IGNORED`; null for gray labels. */
  readonly legend: ReadonlyMap<number, number> | null;
}

/** The number of pixels of each stored label value. */
export type LabelCounts = ReadonlyMap<number, number>;

/** Adds the values of stored labels to `counts`. */
export function countLabels({ data, channels }: Raster, counts: Map<number, number>): void {
  const add = (value: number, n: number) => counts.set(value, (counts.get(value) ?? 0) + n);
  const tally = channels === 1 ? new Float64Array(65536) : null;
  for (let at = 0; at < data.length; at += channels) {
    const value = tally ? data[at]! : colourAt(data, at);
    if (tally?.[value] === undefined) add(value, 1);
    else tally[value]!++;
  }
  for (const [value, n] of tally?.entries() ?? []) if (n > 0) add(value, n);
}

/** Translates stored label values to class indices. */
export class LabelCodec {
  readonly #classes: ReadonlyMap<number, number>;
  /** The class of each gray value. */
  readonly #table = new Uint8Array(65536).fill(IGNORED);

  /**
   * @param counts the stored values of all label images: which values mean a class depends on what occurs
   * @throws RequestError for a value that means no class
   */
  constructor(
    private readonly rules: LabelRules,
    private readonly counts: LabelCounts,
  ) {
    const values = [...counts.keys()];
    this.#classes = new Map(values.map((value) => [value, classOf(value, rules, values)]));
    for (const [value, index] of this.#classes) this.#table[value] = index;
  }

  /** The number of pixels of each class, by default of all label images; ignored pixels are in none. */
  frequencies(counts: LabelCounts = this.counts): number[] {
    const frequencies = Array<number>(this.rules.classes).fill(0);
    for (const [value, n] of counts) {
      const index = this.#classes.get(value) ?? IGNORED;
      if (index !== IGNORED) frequencies[index]! += n;
    }
    return frequencies;
  }

  /** The class indices of stored labels, `width · height`; `IGNORED` where a pixel does not count. */
  decode({ data, channels, width, height }: Raster): Uint8Array {
    const classes = new Uint8Array(width * height);
    if (channels === 1) {
      for (let at = 0; at < classes.length; at++) classes[at] = this.#table[data[at]!]!;
    } else {
      for (let at = 0; at < classes.length; at++) {
        classes[at] = this.#classes.get(colourAt(data, at * channels)) ?? IGNORED;
      }
    }
    return classes;
  }
}

function classOf(value: number, { classes, ignore, legend }: LabelRules, values: readonly number[]): number {
  if (legend) {
    const index = legend.get(value);
    if (index !== undefined) return index;
    const colour = value.toString(16).padStart(6, '0');
    throw new RequestError('bad-data', `the labels hold the colour #${colour}, which --legend does not name`);
  }
  if (value === ignore) return IGNORED;
  if (classes === 2 && value === 255 && !values.some((v) => v > 0 && v < 255)) return 1;
  if (value < classes && Number.isInteger(value) && value >= 0) return value;
  const orMask = classes === 2 ? ', or 0 and 255' : '';
  throw new RequestError(
    'bad-data',
    `the labels hold the value ${value}; ${classes} classes are 0 to ${classes - 1}${orMask}; ` +
      'name a value that does not count with --ignore, or use --instances if each cell has its own number',
  );
}

const colourAt = (data: ArrayLike<number>, at: number): number =>
  data[at]! * 65536 + data[at + 1]! * 256 + data[at + 2]!;
