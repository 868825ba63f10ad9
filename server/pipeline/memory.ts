import type { ComputeChoice } from '../../model/compute-choice.js';
import type { EngineRequest } from '../../model/engine/open-engine.js';
import {
  arenaBytes,
  batchBytes,
  gpuSessionBytes,
  LANE_BYTES,
  type ModelSize,
  modelBytes,
  sessionBytes,
} from '../../model/engine/session-bytes.js';
import { needsStatistics } from '../../model/network/normalisation.js';
import { type OutputKind, valuesPerPixel } from '../../model/network/output-kind.js';
import { type Card, normalisationOf } from '../../model/shelf/card.js';
import { COLUMN_BLOCK_PX, chooseTile, planTiles, type TilePlan } from '../../tiling/plan.js';
import { bytesOf } from '../../tiling/raster.js';
import type { ImageFacts } from '../../tiling/source.js';
import { tilesOf } from './batch-sizes.js';

/** A worker process before its first job, with the smallest heap limit of its JavaScript. */
const WORKER_BYTES = 288 << 20;
/** TensorFlow's library in addition, where it runs the networks (measured: 330 MB more than ONNX Runtime). */
const TENSORFLOW_BYTES = 330 << 20;
/** The process of a device, with ONNX Runtime (measured: 117 MiB); what CUDA takes beside it is not known. */
const DEVICE_BYTES = 120 << 20;
/** The least limit of a worker's JavaScript heap; pixels, bands and weights are outside of it. */
const MIN_HEAP_BYTES = 128 << 20;
/** The heap limit as a share of the worker's memory, where that is more. */
const HEAP_SHARE = 1 / 8;
/** The greatest heap limit: what lists of contours take is not more. */
const MAX_HEAP_BYTES = 2 ** 31;
/** JavaScript's heap in each lane: its pixels and weights are outside of it. */
export const LANE_HEAP_MB = 64;
/** The share of a worker's memory for models that are loaded beside the one of a job. */
const MODELS_SHARE = 1 / 32;
/** The server process, and the readers of images beside it. */
export const SERVER_BYTES = 224 << 20;
/** Share of the remaining memory that running batches may take; queued tiles and bands have the rest. */
const BATCH_SHARE = 0.75;
/** Output side in px below which `auto` does not shrink a tile to save memory. */
export const MIN_OUTPUT_PX = 32;
/** The tile cache's default size, in bytes: the results of about 150 tiles of labels. */
const TILE_CACHE_BYTES = 64 << 20;
/** The default size of the cache of responses, in bytes. */
const RESPONSE_CACHE_BYTES = 32 << 20;
/** The most of the memory that each of them takes by default. */
const CACHE_SHARE = 1 / 64;
/** What a job takes besides tiles and bands: decoded TIFF chunks, rows of the files that it writes. */
const JOB_BYTES = 128 << 20;
/** Counters of one channel: 65,536, of 32 bits each. */
const COUNTER_BYTES = 1 << 18;
/** What jobs leave free: a small image that a client waits for runs beside a slide, and not behind it. */
export const INTERACTIVE_BYTES = JOB_BYTES + (32 << 20);

/** Bytes of `memory` for results of tiles that occur more than once, by default. */
export const defaultTileCache = (memory: number): number =>
  Math.min(TILE_CACHE_BYTES, Math.floor(memory * CACHE_SHARE));

/** Bytes of `memory` for results of requests that may be repeated, by default. */
export const defaultResponseCache = (memory: number): number =>
  Math.min(RESPONSE_CACHE_BYTES, Math.floor(memory * CACHE_SHARE));

/** The limit of a worker's JavaScript heap, in bytes, of `memory` bytes that the process may take. */
export const heapBytes = (memory: number): number =>
  Math.min(MAX_HEAP_BYTES, Math.max(MIN_HEAP_BYTES, Math.floor(memory * HEAP_SHARE)));

/** Bytes of a worker's `memory` for models that are loaded, in each lane. */
export const loadedBytes = (memory: number, lanes: number): number => (memory * MODELS_SHARE) / lanes;

/**
 * Bytes of a worker's `memory` without what runs its networks, beyond what every worker takes: a library, or processes of
 * devices.
 */
export function withoutEngine(
  memory: number,
  { tensorflow }: Pick<EngineRequest, 'tensorflow'>,
  devices: number,
): number {
  // lanes beside the first are counted with models
  const processes = devices * DEVICE_BYTES - Math.max(0, devices - 1) * LANE_BYTES;
  return Math.max(0, memory - (tensorflow ? TENSORFLOW_BYTES : 0) - processes);
}

/** Bytes of a worker's `memory` that jobs are planned with: without other models, and the heap beyond its least limit. */
export function plannableBytes(memory: number): number {
  if (memory === Number.POSITIVE_INFINITY) return memory;
  return Math.max(0, memory - (heapBytes(memory) - MIN_HEAP_BYTES) - memory * MODELS_SHARE);
}

/** Bytes of a worker's `memory` for jobs and for what computes them: models, sessions and their arenas. */
export const sharedBytes = (memory: number, tileCache: number): number =>
  Math.max(0, plannableBytes(memory) - WORKER_BYTES - tileCache);

/**
 * Tiles of a job that are read and not yet stitched, at most: each lane has a batch that runs and one that is ready.
 * @param tilePx px of a tile
 */
export function tilesInFlight({ lanes, batch }: Computing['choice'], tilePx: number): number {
  return Math.max(6, 2 * lanes * tilesOf(batch, tilePx) + 2);
}

/** What lanes take of a model, besides the memory that they run in, in bytes. */
const lanesBytes = (lanes: number, model: ModelSize): number =>
  (lanes - 1) * LANE_BYTES + lanes * (modelBytes(model) + sessionBytes(model));

/** The memory that models are computed in. */
export interface Memories {
  /** Bytes that the process may take. */
  readonly memory: number;
  /** Bytes of each GPU's memory that models may take; undefined on the CPU, which computes in the process. */
  readonly gpuBytes?: number | undefined;
}

/** What a lane's batch of this many px takes of the process's memory, in bytes. */
const laneBatchBytes = (model: ModelSize, px: number, gpuBytes: number | undefined): number =>
  gpuBytes === undefined ? arenaBytes(model, px) : batchBytes(model, px);

/** Whether a GPU's memory suffices for a batch of this many px. */
export const gpuFits = (model: ModelSize, px: number, gpuBytes: number | undefined): boolean =>
  gpuBytes === undefined || gpuSessionBytes(model) + arenaBytes(model, px) <= gpuBytes;

/** Whether this many lanes fit into the memory with a batch of this many px each. */
export function lanesFit(
  lanes: number,
  model: ModelSize,
  px: number,
  { memory, gpuBytes }: Memories,
): boolean {
  const available = (memory - WORKER_BYTES - JOB_BYTES) * BATCH_SHARE;
  const taken = lanesBytes(lanes, model) + lanes * laneBatchBytes(model, px, gpuBytes);
  return taken <= available && gpuFits(model, px, gpuBytes);
}

/** Px that a batch may have in each of these lanes, at most, to fit into the memory. */
export function maxBatchPixels(model: ModelSize, lanes: number, { memory, gpuBytes }: Memories): number {
  const available = (memory - WORKER_BYTES - JOB_BYTES) * BATCH_SHARE - lanesBytes(lanes, model);
  const onHost = available / laneBatchBytes(model, 1, gpuBytes) / lanes;
  if (gpuBytes === undefined) return onHost;
  return Math.floor(Math.min(onHost, (gpuBytes - gpuSessionBytes(model)) / arenaBytes(model, 1)));
}

/** How a job is computed. */
interface Computing {
  readonly output: OutputKind;
  /** How its model is computed: batches are limited to its size, down to one tile. */
  readonly choice: Pick<ComputeChoice, 'batch' | 'lanes'>;
  /** See `Memories`. */
  readonly gpuBytes?: number | undefined;
}

/**
 * Peak memory of the process that runs a job, in bytes: an estimate from measurements on a CPU. It does not grow with
 * the image.
 *
 * @param tileCache bytes of it that the tile cache takes. Default 0
 */
export function expectedMemory(
  plan: TilePlan,
  facts: Pick<ImageFacts, 'channels' | 'dtype'>,
  card: ModelSize & Pick<Card, 'classes'>,
  { tileCache = 0, ...computing }: Computing & { readonly tileCache?: number },
): number {
  const compute = computeBytes(plan, card, computing);
  return WORKER_BYTES + tileCache + compute + jobBytes(plan, facts, card, computing);
}

/** The process's memory for what computes a job, in bytes: its model, a session in each lane, and what that runs in. */
export function computeBytes(
  plan: TilePlan,
  card: ModelSize,
  { choice, gpuBytes }: Pick<Computing, 'choice' | 'gpuBytes'>,
): number {
  const lanes = Math.min(choice.lanes, plan.count);
  const px = Math.max(plan.tile.width * plan.tile.height, choice.batch);
  return lanesBytes(lanes, card) + lanes * laneBatchBytes(card, px, gpuBytes);
}

/** Memory of a job by itself, in bytes: its image's chunks, its tiles, its bands, and rows of its files. */
export function jobBytes(
  plan: TilePlan,
  { channels, dtype }: Pick<ImageFacts, 'channels' | 'dtype'>,
  card: Pick<Card, 'classes'> & Partial<Pick<Card, 'normalisation'>>,
  { output, choice }: Computing,
): number {
  const tilePx = plan.tile.width * plan.tile.height;
  const lanes = Math.min(choice.lanes, plan.count);
  // Each lane's running batch and the next one hold copies of their tiles.
  const batchPx = Math.max(tilePx, choice.batch);
  const inFlightPx = tilesInFlight({ lanes, batch: choice.batch }, tilePx) * tilePx + 2 * lanes * batchPx;
  const tiles = inFlightPx * channels * bytesOf(dtype);
  const bandPx =
    Math.min(plan.image.width, COLUMN_BLOCK_PX) * Math.min(plan.image.height, plan.stride.height);
  const value = output === 'labels' ? 1 : 4;
  // One being filled, one being written, one pending; `both` is split into two masks before it is written.
  const copies = output === 'both' ? 4 : 3;
  const bands = copies * bandPx * value * valuesPerPixel(output, card.classes.length);
  return JOB_BYTES + tiles + bands + statisticsBytes({ channels, dtype }, card);
}

/** Counters of an image's values, in bytes: of each channel those of 16 bits, of floats five times. */
function statisticsBytes(
  { channels, dtype }: Pick<ImageFacts, 'channels' | 'dtype'>,
  card: Partial<Pick<Card, 'normalisation'>>,
): number {
  const isCounted =
    card.normalisation !== undefined &&
    needsStatistics(normalisationOf({ normalisation: card.normalisation }));
  return isCounted ? channels * COUNTER_BYTES * (dtype === 'float32' ? 5 : 1) : 0;
}

/** Memory that any job of a model takes at least, in bytes: that of the smallest tile that `auto` chooses. */
function minMemory(card: Card): number {
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

/** The least `--memory` of a server, in bytes, for jobs of a model beside caches of this size. */
export const minServerMemory = (card: Card, caches: number): number =>
  SERVER_BYTES + Math.ceil((minMemory(card) + caches) / (1 - MODELS_SHARE));

/**
 * Number of jobs that can run concurrently in this much memory, at least 1. Half of it is for the batches that they
 * share, and interactive jobs have as many places as the others.
 */
export function maxConcurrentJobs(memory: number): number {
  return Math.max(1, Math.floor((plannableBytes(memory) - WORKER_BYTES) / 2 / (2 * JOB_BYTES)));
}
