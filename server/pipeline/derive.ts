import { rm } from 'node:fs/promises';
import { type Rect, rectOf, runs } from '../../tiling/geometry.js';
import { COLUMN_BLOCK_PX } from '../../tiling/plan.js';
import { resampleLinear, resampleNearest } from '../../tiling/resample.js';
import type { MaskArray, MaskSink } from '../../tiling/sink.js';
import { FanoutSink } from '../../tiling/sinks/fanout.js';
import { wholeRows } from '../../tiling/sinks/instances.js';
import type { ImageSource } from '../../tiling/source.js';
import { openImage } from '../../tiling/sources/open.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import { type ImageStack, stackFor } from '../../tiling/stack.js';
import { isFinishedOutput, isStreamed, type MaskKind, type ResultFile } from '../contract/outputs.js';
import type { PreparedJob } from './prepare.js';
import type { MaskRoute } from './routing.js';
import type { SegmentJob } from './segment-job.js';
import type { StageTimes } from './stage-times.js';
import { type FinishedMask, openResults, writeResult } from './writers.js';

/** Rows of a column block that are read at a time. */
const BLOCK_ROWS = 256;

/** A part of a finished mask, as sinks take it. */
interface MaskPart {
  readonly rect: Rect;
  readonly labels: MaskArray;
  readonly plane: number;
}

/** Reads the planes of a mask one after the other, each as `read` does. */
async function* inPlanes(
  { mask, masks, signal }: Pick<FinishedMask, 'mask' | 'masks' | 'signal'>,
  read: (mask: ImageSource, signal: AbortSignal) => AsyncIterable<Omit<MaskPart, 'plane'>>,
): AsyncGenerator<MaskPart> {
  for (let plane = 0; plane < (masks?.planes.length ?? 1); plane++) {
    for await (const part of read(masks?.source(plane) ?? mask, signal)) yield { ...part, plane };
  }
}

/** Reads a mask as a plan's bands come: column block by column block, each from the top. */
async function* inBlocks(mask: ImageSource, signal: AbortSignal) {
  const { width, height } = mask.size;
  for (const x of runs({ start: 0, stop: width }, COLUMN_BLOCK_PX)) {
    for (const y of runs({ start: 0, stop: height }, BLOCK_ROWS)) {
      const rect = rectOf(x, y);
      const { data } = await mask.readRegion(rect, signal);
      yield { rect, labels: data as MaskArray };
    }
  }
}

/**
 * Writes results of a finished mask: those that could not be streamed, and those that are requested later. Holds some
 * of the mask's rows at a time.
 * @param observer sees the bands of the mask, too
 */
export async function derive(
  results: readonly ResultFile[],
  finished: FinishedMask,
  observer: MaskSink | null = null,
): Promise<void> {
  const { signal } = finished;
  const rows: ResultFile[] = [];
  const blocks: ResultFile[] = [];
  for (const result of results) {
    if (isFinishedOutput(result.output)) await writeResult(result.output, result.path, finished);
    else if (isStreamed(result.output, Number.POSITIVE_INFINITY)) blocks.push(result);
    else rows.push(result);
  }
  if (rows.length > 0) await write(await openResults(rows, finished), inPlanes(finished, wholeRows), signal);
  if (blocks.length === 0 && !observer) return;
  const sink = await openResults(blocks, finished);
  await write(observer ? new FanoutSink([sink, observer]) : sink, inPlanes(finished, inBlocks), signal);
}

/** What of a job its derived results are written from. */
export interface DerivedJob {
  readonly job: Pick<SegmentJob, 'scratchDir' | 'signal' | 'onWait'>;
  readonly prepared: Pick<PreparedJob, 'model' | 'scale'>;
  readonly image: ImageSource;
  /** Its planes; null where it is segmented as one. */
  readonly stack: ImageStack | null;
  readonly routes: readonly MaskRoute[];
  /** Receives the labels in the image's size; null where it has had them while they were computed. */
  readonly areas: MaskSink | null;
  readonly maxPixels: number;
  readonly stages: StageTimes;
}

/** Writes the results of a job that could not be streamed, and removes the masks that were there for them only. */
export async function deriveResults(derived: DerivedJob): Promise<void> {
  const { job, prepared, image, stack, areas, maxPixels, stages } = derived;
  const { card } = prepared.model;
  const { scale } = prepared;
  const routes = derived.routes.filter((route) => route.derived.length > 0);
  if (routes.length === 0) return;
  const started = performance.now();
  for (const { kind, derived: results, mask: file, isTemporary } of routes) {
    const { scratchDir, signal, onWait } = job;
    await withMask(file.path, { scratchDir, maxPixels }, stack !== null, async (stored, storedPlanes) => {
      const sized = (mask: ImageSource) => (scale ? inSizeOf(image, mask, kind) : mask);
      const masks = storedPlanes && { ...storedPlanes, source: (i: number) => sized(storedPlanes.source(i)) };
      const observer = kind === 'labels' ? areas : null;
      const finished = { mask: sized(stored), masks, source: image, stack, card, signal, onWait };
      await derive(results, finished, observer);
    });
    if (isTemporary) await rm(file.path);
  }
  stages.add('encode', performance.now() - started);
}

/**
 * Opens a mask that was written, with all of its planes where it is of a stack, for the time of `use`.
 * @param isStack whether the job was
 */
export async function withMask<Result>(
  path: string,
  options: OpenOptions,
  isStack: boolean,
  use: (mask: ImageSource, planes: ImageStack | null) => Promise<Result>,
): Promise<Result> {
  const all = isStack ? ({ z: 'all', t: 'all' } as const) : {};
  const mask = await openImage(path, { ...options, ...all, values: 'stored' });
  const planes = stackFor(mask, all);
  try {
    return await use(mask, planes);
  } finally {
    await planes?.close();
    await mask.close();
  }
}

/** A mask that was computed in the model's pixel size, in the size of its image. */
function inSizeOf({ size }: ImageSource, mask: ImageSource, kind: MaskKind): ImageSource {
  return kind === 'labels' ? resampleNearest(mask, size) : resampleLinear(mask, mask, size);
}

async function write(sink: MaskSink, bands: AsyncIterable<MaskPart>, signal: AbortSignal): Promise<void> {
  try {
    for await (const { rect, labels, plane } of bands) {
      signal.throwIfAborted();
      await sink.writeBand(rect, labels, plane);
    }
    await sink.finish();
  } catch (error) {
    await sink.abort();
    throw error;
  }
}
