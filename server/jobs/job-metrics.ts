import { PRIORITIES, type Priority } from '../../model/scheduler.js';
import type { JobProgress } from '../contract/job-spec.js';
import type { Metrics } from '../metrics.js';
import { JOB_STATES, type JobRecord, type JobState } from './job.js';

/** Counts the tiles and px that a job's worker computed since its last report. */
export function countProgress(
  metrics: Metrics,
  { request }: Pick<JobRecord, 'request'>,
  before: JobProgress | null,
  now: JobProgress,
): void {
  const model = request.model.split('/')[0]!;
  // A job that is resumed in another worker counts from zero again.
  const last = before && before.pixelsComputed <= now.pixelsComputed ? before : null;
  const tiles = computedTiles(now) - computedTiles(last);
  if (tiles <= 0) return;
  const pixels = now.pixelsComputed - (last?.pixelsComputed ?? 0);
  metrics.tiles.inc({ model }, tiles);
  metrics.pixels.inc({ model }, pixels);
  metrics.haloPixels.inc(now.haloAndPixels - (last?.haloAndPixels ?? 0) - pixels);
}

const computedTiles = (progress: JobProgress | null): number =>
  progress ? progress.tilesDone - progress.tilesReplayed - progress.tilesSkipped : 0;

/**
 * Sets the gauges of jobs by state, and of pending jobs by priority.
 * @param count jobs in a state
 * @param pending jobs that wait for a place in the worker
 */
export function gaugeJobs(
  metrics: Metrics,
  count: (state: JobState | 'unreadable') => number,
  pending: (priority: Priority) => number,
): void {
  for (const state of [...JOB_STATES, 'unreadable'] as const) metrics.jobs.set({ state }, count(state));
  for (const priority of PRIORITIES) metrics.queueDepth.set({ class: priority }, pending(priority));
}
