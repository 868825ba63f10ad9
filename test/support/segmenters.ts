import { ModelHost, type ModelHostOptions } from '../../server/pipeline/model-host.js';
import type { SegmentJob } from '../../server/pipeline/segment-job.js';
import { Segmenter, type SegmenterOptions } from '../../server/pipeline/segmenter.js';

/** A segmenter of this process, with models of its own; `close` ends both. */
export async function startSegmenter(
  hostOptions: ModelHostOptions,
  options: SegmenterOptions,
): Promise<{ readonly segmenter: Segmenter; readonly close: () => Promise<void> }> {
  const host = await ModelHost.open(hostOptions);
  return { segmenter: new Segmenter(host, options), close: () => host.close() };
}

/** A job without options, except for those that a test sets. */
export const plainJob = ({
  id = 'job',
  ...job
}: Pick<SegmentJob, 'input' | 'model' | 'scratchDir' | 'results'> & Partial<SegmentJob>): SegmentJob => ({
  id,
  choice: {},
  tile: 'auto',
  symmetries: false,
  scale: false,
  priority: 'normal',
  background: null,
  journal: null,
  signal: new AbortController().signal,
  ...job,
});
