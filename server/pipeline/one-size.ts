import { OutOfMemoryError } from '../../model/errors.js';
import type { TileBatch } from '../../model/network/frozen.js';
import type { OutputKind } from '../../model/network/output-kind.js';
import { codeOf } from '../contract/problems.js';
import { type BatchSizes, tilesOf } from './batch-sizes.js';
import type { Predict, Predicted } from './segment.js';

export interface OneSizeOptions {
  /** Px of a batch. */
  readonly batch: number;
  /**
   * The most tiles of a batch that fit, as far as is known. Null where batches must not be smaller than stated: what
   * outlives the job states their size.
   */
  readonly fitting: ((tilePx: number, wanted: number) => number) | null;
}

/** Computes a tile in a batch of one of these sizes. */
export type Submit = (
  tile: TileBatch,
  output: OutputKind,
  sizes: BatchSizes,
  signal: AbortSignal,
) => Promise<Predicted>;

/**
 * The function that predicts the tiles of one job in batches of one size, filled up: of a network whose last bits depend
 * on it. Where that does not fit, the job goes on with a smaller one, unless it has results of the larger one.
 */
export function predictInOneSize(submit: Submit, { batch, fitting }: OneSizeOptions): Predict {
  let chosen: number | null = null;
  let hasResults = false;
  return async (tile, output, signal) => {
    const tilePx = tile.width * tile.height;
    const wanted = tilesOf(batch, tilePx);
    for (;;) {
      chosen ??= fitting?.(tilePx, wanted) ?? wanted;
      const tiles = chosen;
      try {
        const sizes = { most: () => tiles, padded: () => tiles, isFixed: true };
        const predicted = await submit(tile, output, sizes, signal);
        if (tiles !== chosen) continue; // a smaller one was chosen meanwhile
        hasResults = true;
        return predicted;
      } catch (error) {
        if (!isOutOfMemory(error)) throw error;
        if (tiles !== chosen) continue;
        if (fitting === null || hasResults || tiles === 1) throw tooLarge(tiles, error);
        chosen = Math.floor(tiles / 2);
      }
    }
  };
}

export const isOutOfMemory = (error: unknown): error is Error => codeOf(error) === 'out-of-memory';

const tooLarge = (tiles: number, cause: Error): OutOfMemoryError =>
  new OutOfMemoryError(
    `the device's memory does not suffice for batches of ${tiles} tiles any more, and last bits depend on their size: ` +
      `segment the image again, which takes smaller ones, or choose a smaller --batch (${cause.message})`,
    { cause },
  );
