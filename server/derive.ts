import type { Card } from '../model/card.js';
import { FanoutSink } from '../tiling/sinks/fanout.js';
import { wholeRows, writeInstances } from '../tiling/sinks/instances.js';
import { writeThumbnail } from '../tiling/sinks/thumbnail.js';
import type { ImageSource } from '../tiling/source.js';
import { coloursOf, openSinks, type ResultFile } from './outputs.js';

export interface Derivation {
  /** The mask, its labels as they are stored. */
  readonly mask: ImageSource;
  readonly source: ImageSource;
  readonly card: Card;
  readonly signal: AbortSignal;
}

/**
 * Makes results of a finished mask: those that are not made while its bands come, and those that are
 * asked for later. Memory holds some of the mask's rows.
 */
export async function derive(
  results: readonly ResultFile[],
  { mask, source, card, signal }: Derivation,
): Promise<void> {
  const streamed: ResultFile[] = [];
  for (const result of results) {
    const { output, path } = result;
    if (output === 'instances') {
      await writeInstances(mask, path, { mpp: source.mpp, scratch: `${path}.ids`, signal });
    } else if (output === 'thumbnail') {
      await writeThumbnail(source, mask, path, coloursOf(card));
    } else streamed.push(result);
  }
  if (streamed.length === 0) return;
  const sink = new FanoutSink([await openSinks(streamed, source, card)]);
  try {
    for await (const { rect, labels } of wholeRows(mask, signal)) {
      signal.throwIfAborted();
      await sink.writeBand(rect, labels);
    }
    await sink.finish();
  } catch (error) {
    await sink.abort();
    throw error;
  }
}
