import type { TileBatch } from '../network/frozen.js';
import type { Margins, TileGeometry } from '../network/geometry.js';
import type { Pixels } from '../network/pixels.js';

/** The px that a tile reads, in those of the whole image. */
export interface Place {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Copies a part of an image into a batch, as its tile of this index. */
export function cut(
  { data, width: stride, channels }: Pick<TileBatch, 'data' | 'width' | 'channels'>,
  { x, y, width, height }: Place,
  batch: Pixels,
  index: number,
): void {
  const length = width * channels;
  for (let row = 0; row < height; row++) {
    const from = ((y + row) * stride + x) * channels;
    batch.set(data.subarray(from, from + length), (index * height + row) * length);
  }
}

/** The threshold in the test of a graph that has one; its value is an input of the graph. */
export const TEST_THRESHOLD = 0.5;

/** Outputs of a network: labels, or probabilities of each px, with its label or without. */
export type Outputs = Uint8Array | Float32Array;

/** Tiles of one size, and their outputs. */
export interface ComputedTiles {
  readonly places: readonly Place[];
  readonly found: Outputs;
}

/** Compares outputs of tiles with those of one pass over the whole image. */
export class TileComparison {
  readonly #halo: Margins;

  /** @param full the whole image */
  constructor(
    readonly full: Place,
    { halo }: Pick<TileGeometry, 'halo'>,
  ) {
    this.#halo = halo;
  }

  /** Values of each px of the whole image's outputs. */
  valuesOf(whole: Outputs): number {
    const { width, height } = this.#outputOf(this.full);
    return whole.length / width / height;
  }

  /** Whether tiles equal the whole in every bit, and are complete. */
  agree({ places, found }: ComputedTiles, whole: Outputs): boolean {
    const [own, all] = [bitsOf(found), bitsOf(whole)];
    let length = 0;
    for (const { at, from, count } of this.#rows(places, this.valuesOf(whole))) {
      for (let k = 0; k < count; k++) if (own[at + k] !== all[from + k]) return false;
      length += count;
    }
    return found.length === length;
  }

  /**
   * The largest difference between probabilities of tiles and of the whole; 0 for labels.
   * @param classes probabilities of each px, in front of its label
   */
  difference({ places, found }: ComputedTiles, whole: Outputs, classes: number): number {
    if (whole instanceof Uint8Array) return 0;
    const values = this.valuesOf(whole);
    let largest = 0;
    for (const { at, from, count } of this.#rows(places, values)) {
      for (let k = 0; k < count; k++) {
        if (k % values >= classes) continue;
        const difference = Math.abs(found[at + k]! - whole[from + k]!);
        if (Number.isNaN(difference)) return 1;
        largest = Math.max(largest, difference);
      }
    }
    return largest;
  }

  /** Where the rows of tiles' outputs begin, where the whole has them, and their lengths, in values. */
  *#rows(places: readonly Place[], values: number) {
    const across = this.#outputOf(this.full).width;
    const { width, height } = this.#outputOf(places[0]!);
    for (const [i, { x, y }] of places.entries()) {
      for (let row = 0; row < height; row++) {
        const [at, from] = [(i * height + row) * width, (y + row) * across + x];
        yield { at: at * values, from: from * values, count: width * values };
      }
    }
  }

  #outputOf({ width, height }: Place) {
    const { top, left, bottom, right } = this.#halo;
    return { width: width - left - right, height: height - top - bottom };
  }
}

/**
 * Whether each label is a class of the greatest probability, or 1 exactly where that of the second is high enough; and
 * whether probabilities beside labels are those without them.
 *
 * @param output labels, or for each pixel its probabilities and its label
 */
export function follow(
  probabilities: Float32Array,
  output: Outputs,
  { classes, isThresholded }: { readonly classes: number; readonly isThresholded: boolean },
): boolean {
  const pixels = probabilities.length / classes;
  const values = output.length / pixels;
  for (let at = 0; at < pixels; at++) {
    const own = probabilities.subarray(at * classes, (at + 1) * classes);
    const label = output[(at + 1) * values - 1]!;
    const isRight = isThresholded
      ? label === (own[1]! >= TEST_THRESHOLD ? 1 : 0)
      : label < classes && own.every((probability) => probability <= own[label]!);
    if (!isRight) return false;
    for (let k = 0; k < values - 1; k++) if (output[at * values + k] !== own[k]) return false;
  }
  return true;
}

function bitsOf(values: Outputs): Uint8Array | Uint32Array {
  if (values instanceof Uint8Array) return values;
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}
