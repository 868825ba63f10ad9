import type { Card } from '../../model/card.js';
import type { ComputeChoice } from '../../model/compute-choice.js';
import { type OutputKind, valuesPerPixel } from '../../model/output-kind.js';
import { COLUMN_BLOCK_PX, chooseTile, planTiles, type TilePlan } from '../../tiling/plan.js';
import { bytesOf } from '../../tiling/raster.js';
import type { ImageFacts } from '../../tiling/source.js';

/** A worker process with a model loaded, before its first tile. */
const WORKER_BYTES = 320 << 20;
/** Activations of a network, in bytes per px of a batch and per channel of its first level (measured: 33 to 36). */
const ACTIVATION_BYTES = 36;
/** A lane beside the first: its thread, with the libraries that it loads. */
const LANE_BYTES = 64 << 20;
/** Copies of the weights in a lane: its own, and those of ONNX Runtime, as they are and packed. */
const WEIGHT_COPIES = 3;
/** Share of the remaining memory that running batches may take; queued tiles and bands have the rest. */
const BATCH_SHARE = 0.75;
/** Output side in px below which `auto` does not shrink a tile to save memory. */
export const MIN_OUTPUT_PX = 32;
/** The tile cache's default size, in bytes: the results of about 150 tiles of labels. */
const TILE_CACHE_BYTES = 64 << 20;
/** The same for the cache of responses. */
const RESPONSE_CACHE_BYTES = 32 << 20;
/** The most of the memory that each of them takes by default. */
const CACHE_SHARE = 1 / 64;
/** What a job takes besides tiles and bands: decoded TIFF chunks, rows of the files that it writes. */
const JOB_BYTES = 128 << 20;

/** Bytes of `memory` for results of tiles that occur more than once, by default. */
export const defaultTileCache = (memory: number): number =>
  Math.min(TILE_CACHE_BYTES, Math.floor(memory * CACHE_SHARE));

/** Bytes of `memory` for results of requests that may be repeated, by default. */
export const defaultResponseCache = (memory: number): number =>
  Math.min(RESPONSE_CACHE_BYTES, Math.floor(memory * CACHE_SHARE));

/** What memory depends on of a model. */
type ModelSize = Pick<Card, 'architecture' | 'weights'>;

/** Tiles of a job that are read and not yet stitched, at most: each lane has one that runs and one that is ready. */
export const tilesInFlight = (lanes: number): number => Math.max(6, 2 * lanes + 2);

/** What a lane takes besides activations, in bytes. */
const laneBytes = ({ weights }: ModelSize): number => LANE_BYTES + WEIGHT_COPIES * weights.bytes;

/** Activations of a batch, in bytes. */
const activationBytes = ({ architecture }: ModelSize, px: number): number =>
  px * ACTIVATION_BYTES * architecture.channels[0]!;

/** Whether this many lanes fit into `memory` bytes with a tile of this many px each. */
export function lanesFit(lanes: number, model: ModelSize, tilePx: number, memory: number): boolean {
  const available = (memory - WORKER_BYTES - JOB_BYTES) * BATCH_SHARE;
  return (lanes - 1) * laneBytes(model) + lanes * activationBytes(model, tilePx) <= available;
}

/** Px that a batch may have in each of these lanes, at most, to fit into `memory` bytes. */
export function maxBatchPixels(model: ModelSize, lanes: number, memory: number): number {
  const available = (memory - WORKER_BYTES - JOB_BYTES) * BATCH_SHARE - (lanes - 1) * laneBytes(model);
  return available / activationBytes(model, 1) / lanes;
}

/**
 * Peak memory of the process that runs a job, in bytes: an estimate from measurements on a CPU. It does not grow with
 * the image.
 *
 * @param choice how the model is computed: batches are limited to its size, down to one tile
 * @param tileCache bytes of it that the tile cache takes. Default 0
 */
export function expectedMemory(
  plan: TilePlan,
  { channels, dtype }: Pick<ImageFacts, 'channels' | 'dtype'>,
  card: ModelSize & Pick<Card, 'classes'>,
  {
    output,
    choice,
    tileCache = 0,
  }: {
    readonly output: OutputKind;
    readonly choice: Pick<ComputeChoice, 'batch' | 'lanes'>;
    readonly tileCache?: number;
  },
): number {
  const tilePx = plan.tile.width * plan.tile.height;
  const lanes = Math.min(choice.lanes, plan.count);
  const activations = lanes * activationBytes(card, Math.max(tilePx, choice.batch));
  // Each lane's running batch and the next one hold copies of their tiles.
  const tiles = (tilesInFlight(lanes) + 2 * lanes) * tilePx * channels * bytesOf(dtype);
  const bandPx =
    Math.min(plan.image.width, COLUMN_BLOCK_PX) * Math.min(plan.image.height, plan.stride.height);
  const value = output === 'labels' ? 1 : 4;
  // One being filled, one being written, one pending; `both` is split into two masks before it is written.
  const copies = output === 'both' ? 4 : 3;
  const bands = copies * bandPx * value * valuesPerPixel(output, card.classes.length);
  const lanesBesideFirst = (lanes - 1) * laneBytes(card);
  return WORKER_BYTES + JOB_BYTES + tileCache + lanesBesideFirst + activations + tiles + bands;
}

/** Memory that any job of a model takes at least, in bytes: that of the smallest tile that `auto` chooses. */
export function minMemory(card: Card): number {
  const { architecture: rule } = card;
  const size = { width: MIN_OUTPUT_PX, height: MIN_OUTPUT_PX };
  const tile = rule.tileable
    ? chooseTile(size, 'auto', rule, MIN_OUTPUT_PX)
    : { width: rule.smallest, height: rule.smallest };
  const source = { channels: card.inputChannels, dtype: 'uint8' } as const;
  return expectedMemory(planTiles(size, { tile, rule }), source, card, {
    output: 'labels',
    choice: { batch: 0, lanes: 1 },
  });
}

/**
 * Number of jobs that can run concurrently in this much memory, at least 1. Half of it is for the batches that they
 * share, and interactive jobs have as many places as the others.
 */
export function maxConcurrentJobs(memory: number): number {
  return Math.max(1, Math.floor((memory - WORKER_BYTES) / 2 / (2 * JOB_BYTES)));
}
