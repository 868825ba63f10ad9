import type { Card } from '../../model/card.js';
import { type Rect, rectOf, runs } from '../../tiling/geometry.js';
import { COLUMN_BLOCK_PX } from '../../tiling/plan.js';
import type { MaskArray, MaskSink } from '../../tiling/sink.js';
import { FanoutSink } from '../../tiling/sinks/fanout.js';
import { wholeRows, writeInstances } from '../../tiling/sinks/instances.js';
import { writeThumbnail } from '../../tiling/sinks/thumbnail.js';
import type { ImageSource } from '../../tiling/source.js';
import { coloursOf } from '../contract/colours.js';
import { isStreamed, openSinks, type ResultFile } from '../contract/outputs.js';

export interface Derivation {
  /** The mask, its labels as they are stored. */
  readonly mask: ImageSource;
  readonly source: ImageSource;
  readonly card: Card;
  readonly signal: AbortSignal;
  /** Given the bands of the mask, too. */
  readonly watch?: MaskSink;
}

/** Rows of a column block that are given at a time. */
const ROWS = 256;

/** Gives a mask as a plan's bands come: column block by column block, each from the top. */
async function* inBlocks(mask: ImageSource, signal: AbortSignal) {
  const { width, height } = mask.size;
  for (const x of runs({ start: 0, stop: width }, COLUMN_BLOCK_PX)) {
    for (const y of runs({ start: 0, stop: height }, ROWS)) {
      const rect = rectOf(x, y);
      const { data } = await mask.readRegion(rect, signal);
      yield { rect, labels: data as MaskArray };
    }
  }
}

/**
 * Makes results of a finished mask: those that are not made while its bands come, and those that are
 * asked for later. Memory holds some of the mask's rows.
 */
export async function derive(
  results: readonly ResultFile[],
  { mask, source, card, signal, watch }: Derivation,
): Promise<void> {
  const rows: ResultFile[] = [];
  const blocks: ResultFile[] = [];
  for (const result of results) {
    const { output, path } = result;
    if (output === 'instances') {
      await writeInstances(mask, path, { mpp: source.mpp, scratch: `${path}.ids`, signal });
    } else if (output === 'thumbnail') {
      await writeThumbnail(source, mask, path, coloursOf(card));
    } else if (isStreamed(output, Number.POSITIVE_INFINITY)) blocks.push(result);
    else rows.push(result);
  }
  if (rows.length > 0) await write(await openSinks(rows, source, card), wholeRows(mask, signal), signal);
  if (blocks.length === 0 && !watch) return;
  const sink = await openSinks(blocks, source, card);
  await write(watch ? new FanoutSink([sink, watch]) : sink, inBlocks(mask, signal), signal);
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
