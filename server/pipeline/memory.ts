import type { Card } from '../../model/card.js';
import { type OutputKind, valuesPerPixel } from '../../model/output-kind.js';
import { COLUMN_BLOCK_PX, chooseTile, planTiles, type TilePlan } from '../../tiling/plan.js';
import { bytesOf } from '../../tiling/raster.js';
import type { ImageFacts } from '../../tiling/source.js';

/** A worker process with a model, before it has seen a tile. */
const WORKER_BYTES = 320 << 20;
/** Of a network's activations: bytes a px of a batch and channel of its first level (measured: 33 to 36). */
const ACTIVATION_BYTES = 36;
/** Pixels that one batch aims at: beyond this, on a CPU, a larger batch costs memory and gains nothing. */
export const BATCH_PX = 500_000;
/** Tiles between their reading and their stitching: enough for a device that runs one batch and readies one. */
export const TILES_IN_FLIGHT = 6;
/** Of what is left beside a process and its files; tiles and bands that wait have the rest. */
const BATCH_SHARE = 0.75;
/** Of a tile, where tiles shrink to fit into the memory. */
export const LEAST_OUTPUT_PX = 32;
/** Decoded chunks of a TIFF, and rows of the files that are written. */
const JOB_BYTES = 128 << 20;

/** Pixels that a batch of a model's tiles may have, at least one tile: as many as pay, and fit into the memory. */
export function batchPixels({ architecture }: Pick<Card, 'architecture'>, memory: number): number {
  const left = (memory - WORKER_BYTES - JOB_BYTES) * BATCH_SHARE;
  return Math.min(BATCH_PX, left / (ACTIVATION_BYTES * architecture.channels[0]!));
}

/**
 * What a job takes of memory at most, in bytes, in the process that runs it: an estimate, from
 * measurements on a CPU, whatever the size of the image.
 *
 * @param memory what it may take: batches are made to fit, if their tiles do
 */
export function expectedMemory(
  plan: TilePlan,
  { channels, dtype }: Pick<ImageFacts, 'channels' | 'dtype'>,
  card: Pick<Card, 'architecture' | 'classes'>,
  { output, memory }: { readonly output: OutputKind; readonly memory: number },
): number {
  const tilePx = plan.tile.width * plan.tile.height;
  const batchPx = Math.max(tilePx, batchPixels(card, memory));
  const activations = batchPx * ACTIVATION_BYTES * card.architecture.channels[0]!;
  // Beside its tiles, the batch that runs and the one that is ready hold copies.
  const tiles = (TILES_IN_FLIGHT + 2) * tilePx * channels * bytesOf(dtype);
  const bandPx =
    Math.min(plan.image.width, COLUMN_BLOCK_PX) * Math.min(plan.image.height, plan.stride.height);
  const value = output === 'labels' ? 1 : 4;
  // One that is filled, one that is written, one that waits; both masks in one are taken apart to be written.
  const copies = output === 'both' ? 4 : 3;
  const bands = copies * bandPx * value * valuesPerPixel(output, card.classes.length);
  return WORKER_BYTES + JOB_BYTES + activations + tiles + bands;
}

/** What a job of a model takes of memory at the least, in bytes: with the smallest tile that `auto` takes. */
export function leastMemory(card: Card): number {
  const { architecture: rule } = card;
  const size = { width: LEAST_OUTPUT_PX, height: LEAST_OUTPUT_PX };
  const tile = rule.tileable
    ? chooseTile(size, 'auto', rule, LEAST_OUTPUT_PX)
    : { width: rule.smallest, height: rule.smallest };
  const source = { channels: card.inputChannels, dtype: 'uint8' } as const;
  return expectedMemory(planTiles(size, { tile, rule }), source, card, { output: 'labels', memory: 0 });
}

/**
 * Jobs that fit into a memory beside each other, at least one: half of it is for the batches that they share,
 * and interactive jobs have as many places as the others.
 */
export function jobsThatFit(memory: number): number {
  return Math.max(1, Math.floor((memory - WORKER_BYTES) / 2 / (2 * JOB_BYTES)));
}
