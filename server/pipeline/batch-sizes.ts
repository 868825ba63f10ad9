import { MAX_BATCH } from '../../model/compute-choice.js';

/**
 * The sizes of batches on a GPU, ascending, in tiles: powers of two, and the largest. Its libraries choose kernels by
 * shape, and take their time to; what is missing of a batch is filled up.
 */
export function sizesUpTo(most: number): number[] {
  const powers = Array.from({ length: Math.ceil(Math.log2(most)) }, (_, i) => 2 ** i);
  return [...powers, most];
}

/** Tiles of a batch of this many px, at least 1. */
export const tilesOf = (batchPx: number, tilePx: number): number =>
  Math.min(MAX_BATCH, Math.max(1, Math.floor(batchPx / tilePx)));

/** The numbers of tiles that batches of an item may have. */
export interface BatchSizes {
  /** The most. */
  readonly most: () => number;
  /** On a GPU: tiles of the batch that is computed for a number of tiles, which is filled up with zeros. */
  readonly padded: (tiles: number) => number;
  /** Whether there is no other. */
  readonly isFixed: boolean;
}

/** The sizes of batches where each item is one by itself. */
export const AS_IT_IS: BatchSizes = { most: () => 1, padded: (tiles) => tiles, isFixed: true };

/**
 * The batches that fit into a device's memory, as far as is known: one that did not is not tried again for as long as the
 * process runs.
 */
export class FittingBatches {
  /** Px, by what computes them. */
  readonly #most = new Map<string, number>();

  /**
   * The most tiles of a batch, at least 1.
   * @param use of a model, whose batches take the same memory for each px
   */
  most(use: string, wanted: number, tilePx: number): number {
    const px = this.#most.get(use) ?? Number.POSITIVE_INFINITY;
    return Math.max(1, Math.min(wanted, Math.floor(px / tilePx)));
  }

  /** Notes that a batch did not fit: half of it may. */
  exceed(use: string, tiles: number, tilePx: number): void {
    this.#most.set(use, this.most(use, Math.floor(tiles / 2), tilePx) * tilePx);
  }
}
