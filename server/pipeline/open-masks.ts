import type { MaskSink } from '../../tiling/sink.js';
import { FanoutSink } from '../../tiling/sinks/fanout.js';
import { SplitSink } from '../../tiling/sinks/split.js';
import type { MaskKind } from '../contract/outputs.js';
import type { MaskRoute } from './routing.js';
import { openResults, type Subject } from './writers.js';

/**
 * Opens the files that are written while a job's masks are computed, as one sink. On failure nothing of them is left.
 * @param areas receives the labels, too
 */
export async function openMasks(
  routes: readonly MaskRoute[],
  subject: Subject,
  areas: MaskSink | null,
): Promise<MaskSink> {
  const sinks: Partial<Record<MaskKind, MaskSink>> = {};
  try {
    for (const { kind, streamed } of routes) {
      const sink = await openResults(streamed, subject);
      sinks[kind] = kind === 'labels' && areas ? new FanoutSink([sink, areas]) : sink;
    }
  } catch (error) {
    await new FanoutSink(Object.values(sinks)).abort();
    throw error;
  }
  const { labels, probabilities } = sinks;
  if (labels && probabilities) return new SplitSink(subject.card.classes.length, probabilities, labels);
  return (labels ?? probabilities)!;
}
