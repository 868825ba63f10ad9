import { ModelHost, type ModelHostOptions } from '../../server/pipeline/model-host.js';
import { Segmenter, type SegmenterOptions } from '../../server/pipeline/segmenter.js';

/** A segmenter of this process, with models of its own; `close` ends both. */
export async function startSegmenter(
  hostOptions: ModelHostOptions,
  options: SegmenterOptions,
): Promise<{ readonly segmenter: Segmenter; readonly close: () => Promise<void> }> {
  const host = await ModelHost.open(hostOptions);
  return { segmenter: new Segmenter(host, options), close: () => host.close() };
}
