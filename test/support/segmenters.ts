import { ModelHost, type ModelHostOptions } from '../../server/pipeline/model-host.js';
import { Segmenter, type SegmenterOptions } from '../../server/pipeline/segmenter.js';

/** A segmenter of this process, with models of its own; `close` ends both. */
export function startSegmenter(
  hostOptions: ModelHostOptions,
  options: SegmenterOptions,
): { readonly segmenter: Segmenter; readonly close: () => Promise<void> } {
  const host = new ModelHost(hostOptions);
  return { segmenter: new Segmenter(host, options), close: () => host.close() };
}
