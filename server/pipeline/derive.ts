import { type Rect, rectOf, runs } from '../../tiling/geometry.js';
import { COLUMN_BLOCK_PX } from '../../tiling/plan.js';
import type { MaskArray, MaskSink } from '../../tiling/sink.js';
import { FanoutSink } from '../../tiling/sinks/fanout.js';
import { wholeRows } from '../../tiling/sinks/instances.js';
import type { ImageSource } from '../../tiling/source.js';
import { isFinishedOutput, isStreamed, type ResultFile } from '../contract/outputs.js';
import { type FinishedMask, openResults, writeResult } from './writers.js';

/** Rows of a column block that are read at a time. */
const BLOCK_ROWS = 256;

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
  const { mask, signal } = finished;
  const rows: ResultFile[] = [];
  const blocks: ResultFile[] = [];
  for (const result of results) {
    if (isFinishedOutput(result.output)) await writeResult(result.output, result.path, finished);
    else if (isStreamed(result.output, Number.POSITIVE_INFINITY)) blocks.push(result);
    else rows.push(result);
  }
  if (rows.length > 0) await write(await openResults(rows, finished), wholeRows(mask, signal), signal);
  if (blocks.length === 0 && !observer) return;
  const sink = await openResults(blocks, finished);
  await write(observer ? new FanoutSink([sink, observer]) : sink, inBlocks(mask, signal), signal);
}

async function write(
  sink: MaskSink,
  bands: AsyncIterable<{ readonly rect: Rect; readonly labels: MaskArray }>,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const { rect, labels } of bands) {
      signal.throwIfAborted();
      await sink.writeBand(rect, labels);
    }
    await sink.finish();
  } catch (error) {
    await sink.abort();
    throw error;
  }
}
