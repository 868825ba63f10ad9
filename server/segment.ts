import type { Batched } from '../model/batcher.js';
import type { OutputKind, TileBatch } from '../model/frozen.js';
import { within } from '../tiling/geometry.js';
import type { Band, Tile, TilePlan } from '../tiling/plan.js';
import { readTile } from '../tiling/reader.js';
import type { MaskArray, MaskSink } from '../tiling/sink.js';
import type { ImageSource } from '../tiling/source.js';
import { Stitcher } from '../tiling/stitcher.js';

/** The stages of a job, everywhere: metrics, `Server-Timing`, logs and reports. */
export const STAGES = ['upload', 'decode', 'queue', 'infer', 'stitch', 'encode'] as const;
export type Stage = (typeof STAGES)[number];

/** Segments one tile, alone or in a batch with others. */
export type Predict = (
  tile: TileBatch,
  output: OutputKind,
  signal: AbortSignal,
) => Promise<Batched<MaskArray>>;

export interface SegmentRequest {
  readonly source: ImageSource;
  readonly plan: TilePlan;
  readonly output: OutputKind;
  readonly classes: number;
  readonly sink: MaskSink;
  readonly predict: Predict;
  readonly signal: AbortSignal;
  readonly onStage?: (stage: Stage, durationMs: number) => void;
  readonly onTile?: (tile: Tile) => void;
}

/** Tiles between their reading and their stitching: enough for a device that runs one batch and readies one. */
const TILES_IN_FLIGHT = 6;

/**
 * The pipeline: plan, read, predict, stitch, write. Holds no more than a few tiles and the bands that
 * they belong to. On failure or cancellation nothing of the result is left.
 */
export async function segment(request: SegmentRequest): Promise<void> {
  const { source, plan, output, sink, predict, onStage = () => {}, onTile = () => {} } = request;
  const failed = new AbortController();
  const signal = AbortSignal.any([request.signal, failed.signal]);
  const stitcher = new Stitcher(sink, output === 'labels' ? 1 : request.classes, (_band, ms) =>
    onStage('encode', ms),
  );
  const outputWidth = within(plan.tile, plan.halo).width;

  const work = async (band: Band, tile: Tile): Promise<void> => {
    const started = performance.now();
    const raster = await readTile(source, tile.read, signal);
    const decoded = performance.now();
    const { result, queuedMs, ranMs } = await predict({ ...raster, count: 1 }, output, signal);
    const stitching = performance.now();
    await stitcher.put(band, tile, result, outputWidth);
    onStage('decode', decoded - started);
    onStage('queue', queuedMs);
    onStage('infer', ranMs);
    onStage('stitch', performance.now() - stitching);
    onTile(tile);
  };

  const inFlight = new Set<Promise<void>>();
  try {
    for (const band of plan.bands()) {
      for (const tile of band.tiles) {
        signal.throwIfAborted();
        const task = work(band, tile).finally(() => inFlight.delete(task));
        task.catch((error: unknown) => failed.abort(error));
        inFlight.add(task);
        if (inFlight.size >= TILES_IN_FLIGHT) await Promise.race(inFlight);
      }
    }
    await Promise.all(inFlight);
    signal.throwIfAborted();
    await stitcher.drain();
    const finishing = performance.now();
    await sink.finish();
    onStage('encode', performance.now() - finishing);
  } catch (error) {
    failed.abort(error);
    await Promise.allSettled(inFlight);
    await stitcher.drain().catch(() => undefined);
    await sink.abort();
    throw error;
  }
}
