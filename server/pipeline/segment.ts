import { setMaxListeners } from 'node:events';
import type { ComputeChoice } from '../../model/compute-choice.js';
import type { TileBatch } from '../../model/network/frozen.js';
import { type OutputKind, valuesPerPixel } from '../../model/network/output-kind.js';
import type { Batched } from '../../model/scheduler/scheduler.js';
import { type Rect, within } from '../../tiling/geometry.js';
import type { Band, Tile, TilePlan } from '../../tiling/plan.js';
import { readTile } from '../../tiling/reader.js';
import type { MaskArray, MaskSink } from '../../tiling/sink.js';
import { FanoutSink } from '../../tiling/sinks/fanout.js';
import type { BandJournal } from '../../tiling/sinks/journal.js';
import type { ImageSource } from '../../tiling/source.js';
import type { ImageStack } from '../../tiling/stack.js';
import { Stitcher } from '../../tiling/stitcher.js';
import type { Stage } from '../contract/stages.js';
import { tilesInFlight } from './memory.js';

/** Segments one tile, alone or in a batch with others. */
export type Predict = (tile: TileBatch, output: OutputKind, signal: AbortSignal) => Promise<Predicted>;

/** The result of a tile. Equal tiles share it: it is neither changed nor transferred. */
export interface Predicted extends Batched<MaskArray> {
  /** Why it was not computed; undefined if it was. */
  readonly reuse?: TileReuse;
}

/** Why a tile is not computed: an earlier one of the same constant value was, or one with identical pixels. */
export type TileReuse = 'constant' | 'identical';

export interface SegmentRequest {
  readonly source: ImageSource;
  /** The planes that the plan is of, where the image is segmented as a stack. Default null: `source` is all of it. */
  readonly stack?: ImageStack | null;
  readonly plan: TilePlan;
  readonly output: OutputKind;
  readonly classes: number;
  readonly sink: MaskSink;
  readonly predict: Predict;
  /**
   * Instead of `predict`, of a stack whose planes are not predicted alike, such as since each is normalised by statistics
   * of its own, as it is alone. Called for each tile, and from the first of a plane on, which therefore waits for what has
   * to be known of it; it remembers that for the others.
   */
  readonly predictOf?: ((plane: number) => Promise<Predict>) | null;
  /** How its tiles are computed. Default one by one in one lane. */
  readonly choice?: Pick<ComputeChoice, 'lanes' | 'batch'>;
  readonly signal: AbortSignal;
  /** Records finished bands; those that it holds already are replayed instead of computed. */
  readonly journal?: BandJournal | null;
  /** Tiles for which this is true are background, class 0, and are not computed. */
  readonly skip?: ((tile: Tile) => boolean) | null;
  /** Called with a stage that a tile or a band has passed, and when, in ms of `performance.now()`. */
  readonly onStage?: (stage: Stage, durationMs: number, endedMs: number) => void;
  /** Called once for every tile of the plan, when it has ended. */
  readonly onTile?: (tile: Tile, end: TileEnd) => void;
  /**
   * Called with every part of the mask as soon as it is computed, before it is stitched. Rows of `values` are
   * `rowLength` px apart.
   */
  readonly onPixels?: (rect: Rect, values: MaskArray, rowLength: number, plane: number) => void;
}

/** How a tile ended: computed, with the result of an equal one, skipped as background, or replayed from the journal. */
export type TileEnd = 'computed' | TileReuse | 'skipped' | 'replayed';

/**
 * The pipeline: plan, read, predict, stitch, write. Memory holds a few tiles and the bands that they belong to,
 * however large the image. On failure or cancellation no result remains, but for the journal.
 *
 * A stack is one pass, too. The plan has the tiles of all planes, one plane after the other; a band states its plane,
 * and that is all that a stack adds: tiles are read from the source of their plane, the stitcher emits bands in the
 * plan's order, whichever planes they are of, and the journal records them with their planes. So the device has no
 * pause where a plane ends, a killed job goes on with the first missing band of the first missing plane, and each plane
 * has the very tiles, and bits, that it has alone. Sinks learn from the band's plane where one ends
 * (`tiling/sink.ts`); the planes of the image are opened as they are read, a few at a time (`tiling/stack.ts`).
 */
export async function segment(request: SegmentRequest): Promise<void> {
  const { source, stack = null, plan, output, sink, predict, journal, skip } = request;
  const { predictOf, onStage = () => {}, onTile = () => {}, onPixels = () => {} } = request;
  const failed = new AbortController();
  const signal = AbortSignal.any([request.signal, failed.signal]);
  setMaxListeners(0, signal); // one for each tile in flight
  const channels = valuesPerPixel(output, request.classes);
  const sinks = journal ? new FanoutSink([journal, sink]) : sink;
  const outputWidth = within(plan.tile, plan.halo).width;
  const inFlight = new Set<Promise<void>>();
  const { choice = { lanes: 1, batch: 0 } } = request;
  const mostInFlight = tilesInFlight(choice, plan.tile.width * plan.tile.height);
  let stitcher: Stitcher | null = null;

  const work = async (band: Band, tile: Tile): Promise<void> => {
    if (skip?.(tile)) {
      const { write } = tile;
      const backgroundValues = background(write.width * write.height, channels);
      await stitcher!.put(band, { ...tile, crop: { ...write, x: 0, y: 0 } }, backgroundValues, write.width);
      onTile(tile, 'skipped');
      return;
    }
    const predictTile = (await predictOf?.(band.plane)) ?? predict;
    const started = performance.now();
    const raster = await readTile(stack?.source(band.plane) ?? source, tile.read, signal);
    const decoded = performance.now();
    const { result, reuse, queuedMs, ranMs } = await predictTile({ ...raster, count: 1 }, output, signal);
    const stitching = performance.now();
    onPixels(tile.write, result.subarray(tile.crop.x * channels), outputWidth, band.plane);
    await stitcher!.put(band, tile, result, outputWidth);
    const stitched = performance.now();
    onStage('decode', decoded - started, decoded);
    if (!reuse) {
      onStage('queue', queuedMs, stitching - ranMs);
      onStage('infer', ranMs, stitching);
    }
    onStage('stitch', stitched - stitching, stitched);
    onTile(tile, reuse ?? 'computed');
  };

  try {
    const done = journal ? await replay(journal, request, signal) : 0;
    stitcher = new Stitcher(sinks, channels, (_band, ms) => onStage('encode', ms, performance.now()), done);
    for (const band of plan.bands()) {
      for (const tile of band.tiles) {
        if (band.index < done) {
          onTile(tile, 'replayed');
          continue;
        }
        signal.throwIfAborted();
        const task = work(band, tile).finally(() => inFlight.delete(task));
        task.catch((error: unknown) => failed.abort(error));
        inFlight.add(task);
        if (inFlight.size >= mostInFlight) await Promise.race(inFlight);
      }
    }
    await Promise.all(inFlight);
    signal.throwIfAborted();
    await stitcher.drain();
    const finishing = performance.now();
    await sinks.finish();
    const finished = performance.now();
    onStage('encode', finished - finishing, finished);
  } catch (error) {
    failed.abort(error);
    await Promise.allSettled(inFlight);
    await stitcher?.drain().catch(() => undefined);
    await sinks.abort();
    throw error;
  }
}

/** Writes the bands of a journal to the sink; returns how many there were. */
async function replay(journal: BandJournal, request: SegmentRequest, signal: AbortSignal): Promise<number> {
  let bands = 0;
  for await (const { rect, data, plane } of journal.replay()) {
    signal.throwIfAborted();
    await request.sink.writeBand(rect, data, plane);
    request.onPixels?.(rect, data, rect.width, plane);
    bands++;
  }
  return bands;
}

/** Class 0 for a number of px: as a label, with probability 1, or both, where the label is the last value. */
function background(pixels: number, channels: number): MaskArray {
  if (channels === 1) return new Uint8Array(pixels);
  return Float32Array.from({ length: pixels * channels }, (_, i) => (i % channels === 0 ? 1 : 0));
}
