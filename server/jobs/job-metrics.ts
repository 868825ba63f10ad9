import { PRIORITIES, type Priority } from '../../model/scheduler/priority.js';
import { tilesComputed } from '../contract/job-spec.js';
import type { JobProgress, JobState } from '../contract/schemas/job.js';
import type { Metrics } from '../metrics.js';
import type { JobRecord } from './job.js';

/** Counts the tiles and px that a job's worker computed since its last report, and the tiles that it did not need to. */
export function countProgress(
  metrics: Metrics,
  { request }: Pick<JobRecord, 'request'>,
  before: JobProgress | null,
  now: JobProgress,
): void {
  const model = request.model.split('/')[0]!;
  // A job that is resumed in another worker counts from zero again.
  const last = before && COUNTED.every((name) => before[name] <= now[name]) ? before : null;
  const more = (name: (typeof COUNTED)[number]): number => now[name] - (last?.[name] ?? 0);
  const tiles = tilesComputed(now) - (last ? tilesComputed(last) : 0);
  metrics.tiles.inc({ model }, tiles);
  metrics.pixels.inc({ model }, more('pixelsComputed'));
  metrics.haloPixels.inc(more('haloAndPixels') - more('pixelsComputed'));
  metrics.constantTiles.inc({ model }, more('tilesConstant'));
  metrics.cacheHits.inc({ cache: 'tiles' }, more('tilesConstant') + more('tilesIdentical'));
  metrics.cacheMisses.inc({ cache: 'tiles' }, tiles);
}

/** What grows while one worker runs a job. */
const COUNTED = ['pixelsComputed', 'haloAndPixels', 'tilesConstant', 'tilesIdentical'] as const;

/**
 * Sets the gauges of jobs by state, and of pending jobs by priority.
 * @param counts jobs by state
 * @param pending jobs that wait for a place in the worker
 */
export function gaugeJobs(
  metrics: Metrics,
  counts: ReadonlyMap<JobState | 'unreadable', number>,
  pending: (priority: Priority) => number,
): void {
  for (const [state, count] of counts) metrics.jobs.set({ state }, count);
  for (const priority of PRIORITIES) metrics.queueDepth.set({ class: priority }, pending(priority));
}
