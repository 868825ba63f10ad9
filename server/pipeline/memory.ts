import type { Card } from '../../model/card.js';
import { type OutputKind, valuesPerPixel } from '../../model/output-kind.js';
import { COLUMN_BLOCK_PX, chooseTile, planTiles, type TilePlan } from '../../tiling/plan.js';
import { bytesOf } from '../../tiling/raster.js';
import type { ImageFacts } from '../../tiling/source.js';

/** A worker process with a model loaded, before its first tile. */
const WORKER_BYTES = 320 << 20;
/** Activations of a network, in bytes per px of a batch and per channel of its first level (measured: 33 to 36). */
const ACTIVATION_BYTES = 36;
/** Target size of a batch in px: on a CPU, larger batches cost memory and are no faster. */
export const BATCH_PX = 500_000;
/** Tiles of a job that are read and not yet stitched, at most: enough for a running batch and the next one. */
export const TILES_IN_FLIGHT = 6;
/** Share of the remaining memory that a batch may take; queued tiles and bands have the rest. */
const BATCH_SHARE = 0.75;
/** Output side in px below which `auto` does not shrink a tile to save memory. */
export const MIN_OUTPUT_PX = 32;
/** The tile cache's default size, in bytes: the results of about 150 tiles of labels. */
const TILE_CACHE_BYTES = 64 << 20;
/** The most of the memory that it takes by default. */
const TILE_CACHE_SHARE = 1 / 64;
/** What a job takes besides tiles and bands: decoded TIFF chunks, rows of the files that it writes. */
const JOB_BYTES = 128 << 20;

/** Bytes of `memory` for results of tiles that occur more than once, by default. */
export const defaultTileCache = (memory: number): number =>
  Math.min(TILE_CACHE_BYTES, Math.floor(memory * TILE_CACHE_SHARE));

/** Px that a batch of a model's tiles may have: the target size, or less where that does not fit into `memory` bytes. */
export function batchPixels({ architecture }: Pick<Card, 'architecture'>, memory: number): number {
  const available = (memory - WORKER_BYTES - JOB_BYTES) * BATCH_SHARE;
  return Math.min(BATCH_PX, available / (ACTIVATION_BYTES * architecture.channels[0]!));
}

/**
 * Peak memory of the process that runs a job, in bytes: an estimate from measurements on a CPU. It does not grow with
 * the image.
 *
 * @param memory bytes that it may take: batches are limited to it, down to one tile
 * @param tileCache bytes of it that the tile cache takes. Default 0
 */
export function expectedMemory(
  plan: TilePlan,
  { channels, dtype }: Pick<ImageFacts, 'channels' | 'dtype'>,
  card: Pick<Card, 'architecture' | 'classes'>,
  {
    output,
    memory,
    tileCache = 0,
  }: { readonly output: OutputKind; readonly memory: number; readonly tileCache?: number | undefined },
): number {
  const tilePx = plan.tile.width * plan.tile.height;
  const batchPx = Math.max(tilePx, batchPixels(card, memory - tileCache));
  const activations = batchPx * ACTIVATION_BYTES * card.architecture.channels[0]!;
  // The running batch and the next one hold copies of their tiles.
  const tiles = (TILES_IN_FLIGHT + 2) * tilePx * channels * bytesOf(dtype);
  const bandPx =
    Math.min(plan.image.width, COLUMN_BLOCK_PX) * Math.min(plan.image.height, plan.stride.height);
  const value = output === 'labels' ? 1 : 4;
  // One being filled, one being written, one pending; `both` is split into two masks before it is written.
  const copies = output === 'both' ? 4 : 3;
  const bands = copies * bandPx * value * valuesPerPixel(output, card.classes.length);
  return WORKER_BYTES + JOB_BYTES + tileCache + activations + tiles + bands;
}

/** Memory that any job of a model takes at least, in bytes: that of the smallest tile that `auto` chooses. */
export function minMemory(card: Card): number {
  const { architecture: rule } = card;
  const size = { width: MIN_OUTPUT_PX, height: MIN_OUTPUT_PX };
  const tile = rule.tileable
    ? chooseTile(size, 'auto', rule, MIN_OUTPUT_PX)
    : { width: rule.smallest, height: rule.smallest };
  const source = { channels: card.inputChannels, dtype: 'uint8' } as const;
  return expectedMemory(planTiles(size, { tile, rule }), source, card, { output: 'labels', memory: 0 });
}

/**
 * Number of jobs that can run concurrently in this much memory, at least 1. Half of it is for the batches that they
 * share, and interactive jobs have as many places as the others.
 */
export function maxConcurrentJobs(memory: number): number {
  return Math.max(1, Math.floor((memory - WORKER_BYTES) / 2 / (2 * JOB_BYTES)));
}
