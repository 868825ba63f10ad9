import { join } from 'node:path';
import type { Card } from '../../model/card.js';
import type { OutputKind } from '../../model/output-kind.js';
import type { MaskSink } from '../../tiling/sink.js';
import { FanoutSink } from '../../tiling/sinks/fanout.js';
import { SplitSink } from '../../tiling/sinks/split.js';
import type { ImageSource } from '../../tiling/source.js';
import { isStreamed, openSinks, predicted, type ResultFile } from '../contract/outputs.js';

/** The masks that a network makes in one pass: either, or both. */
export type MaskKind = Exclude<OutputKind, 'both'>;

/** A mask of a job, and what is made of it. */
export interface MaskResults {
  readonly kind: MaskKind;
  /** Files that are written while its bands come, the mask itself among them where the others need it. */
  readonly streamed: readonly ResultFile[];
  /** Files that are made of the finished mask. */
  readonly derived: readonly ResultFile[];
  /** The mask as a TIFF. */
  readonly mask: ResultFile;
  /** Whether the mask is there for the sake of others only. */
  readonly temporary: boolean;
}

/**
 * Sorts what a job is to make by the masks that it is made of.
 * @param width of the image; null where masks are made in another size, and nothing is streamed
 */
export function maskResults(
  {
    id,
    results,
    scratchDir,
  }: { readonly id: string; readonly results: readonly ResultFile[]; readonly scratchDir: string },
  width: number | null,
): MaskResults[] {
  const kinds: readonly MaskKind[] = ['labels', 'probabilities'];
  return kinds.flatMap((kind) => {
    const wanted = results.filter(({ output }) => predicted(output) === kind);
    if (wanted.length === 0) return [];
    const streamed = width === null ? [] : wanted.filter(({ output }) => isStreamed(output, width));
    const derived = wanted.filter((result) => !streamed.includes(result));
    const asked = streamed.find(({ output, format }) => output === kind && format === 'tiff');
    const mask = asked ?? { output: kind, format: 'tiff', path: join(scratchDir, `${id}.${kind}.tif`) };
    const temporary = asked === undefined && derived.length > 0;
    return [{ kind, streamed: temporary ? [...streamed, mask] : streamed, derived, mask, temporary }];
  });
}

/**
 * Opens the files that are written while the bands of a job's masks come, as one sink.
 * @param areas given the labels, too
 */
export async function openMasks(
  masks: readonly MaskResults[],
  source: ImageSource,
  card: Card,
  areas: MaskSink | null,
): Promise<MaskSink> {
  const sinks: Partial<Record<MaskKind, MaskSink>> = {};
  try {
    for (const { kind, streamed } of masks) {
      const sink = await openSinks(streamed, source, card);
      sinks[kind] = kind === 'labels' && areas ? new FanoutSink([sink, areas]) : sink;
    }
  } catch (error) {
    await new FanoutSink(Object.values(sinks)).abort();
    throw error;
  }
  const { labels, probabilities } = sinks;
  if (labels && probabilities) return new SplitSink(card.classes.length, probabilities, labels);
  return (labels ?? probabilities)!;
}
