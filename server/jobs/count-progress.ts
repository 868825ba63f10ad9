import type { JobProgress } from '../contract/job-spec.js';
import type { Metrics } from '../metrics.js';
import type { JobRecord } from './job.js';

/** Counts what a job's worker did since its last report. */
export function countProgress(
  metrics: Metrics,
  { request }: JobRecord,
  before: JobProgress | null,
  now: JobProgress,
): void {
  const model = request.model.split('/')[0]!;
  // A job that goes on in another worker counts from zero again.
  const last = before && before.pixelsComputed <= now.pixelsComputed ? before : null;
  const computed = (p: JobProgress | null) => (p ? p.tilesDone - p.tilesReplayed - p.tilesSkipped : 0);
  const tiles = computed(now) - computed(last);
  if (tiles <= 0) return;
  const pixels = now.pixelsComputed - (last?.pixelsComputed ?? 0);
  metrics.tiles.inc({ model }, tiles);
  metrics.pixels.inc({ model }, pixels);
  metrics.haloPixels.inc(now.haloAndPixels - (last?.haloAndPixels ?? 0) - pixels);
}
