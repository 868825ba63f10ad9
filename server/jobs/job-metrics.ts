import { PRIORITIES, type Priority } from '../../model/scheduler/priority.js';
import { tilesComputed } from '../contract/job-spec.js';
import { CODES, problemOf } from '../contract/problems.js';
import { JOB_STATES, type JobProgress, type JobState } from '../contract/schemas/job.js';
import { count, type Exemplar, observe } from '../metrics/exemplars.js';
import type { Metrics } from '../metrics/metrics.js';
import { hasEnded, type JobRecord } from './job.js';
import { TEMPORARY_CODES } from './recovery.js';

/**
 * Counts the tiles and px that a job's worker computed since its last report, and the tiles that it did not need to.
 */
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
  metrics.haloPixels.inc({ model }, more('haloAndPixels') - more('pixelsComputed'));
  metrics.constantTiles.inc({ model }, more('tilesConstant'));
  metrics.cacheHits.inc({ cache: 'tiles' }, more('tilesConstant') + more('tilesIdentical'));
  metrics.cacheMisses.inc({ cache: 'tiles' }, tiles);
}

/** What grows while one worker runs a job. */
const COUNTED = ['pixelsComputed', 'haloAndPixels', 'tilesConstant', 'tilesIdentical'] as const;

/** Jobs that wait for a place in the worker. */
export interface PendingJobs {
  waiting(priority: Priority): number;
  /** How long the one that waits longest has waited, in ms, in earlier servers, too; 0 where there is none. */
  oldestMs(priority: Priority): number;
}

/**
 * Sets the gauges of jobs by state, and of pending jobs by priority.
 * @param counts jobs by state
 */
export function gaugeJobs(
  metrics: Metrics,
  counts: ReadonlyMap<JobState | 'unreadable', number>,
  pending: PendingJobs,
): void {
  for (const [state, count] of counts) metrics.jobs.set({ state }, count);
  for (const priority of PRIORITIES) {
    metrics.queueDepth.set({ class: priority }, pending.waiting(priority));
    metrics.queueAge.set({ class: priority }, pending.oldestMs(priority) / 1000);
  }
}

/** Initialises counters to 0 for every label, so that the first event is an increase. */
export function startCounting(metrics: Metrics): void {
  const { jobDuration, jobFailures, jobRetries, jobPauses, cacheHits, cacheMisses } = metrics;
  for (const priority of PRIORITIES)
    for (const state of JOB_STATES.filter((each) => hasEnded({ state: each })))
      jobDuration.zero({ class: priority, state });
  for (const code of CODES) jobFailures.inc({ labels: { code }, value: 0 });
  for (const code of TEMPORARY_CODES) {
    jobRetries.inc({ labels: { code }, value: 0 });
    jobPauses.inc({ labels: { code }, value: 0 });
  }
  for (const cache of ['tiles', 'results']) {
    cacheHits.inc({ cache }, 0);
    cacheMisses.inc({ cache }, 0);
  }
}

/** Observes how long a job waited for its first start. */
export function observeStart(
  { jobWait }: Metrics,
  { priority, createdAt }: JobRecord,
  now: number,
  exemplar: Exemplar,
): void {
  observe(jobWait, { class: priority }, msSince(createdAt, now) / 1000, exemplar);
}

/** Observes how long a job took, and counts why it failed. */
export function observeEnd(
  { jobDuration, jobFailures }: Metrics,
  { priority, state, createdAt, error }: JobRecord,
  now: number,
  exemplar: Exemplar,
): void {
  observe(jobDuration, { class: priority, state }, msSince(createdAt, now) / 1000, exemplar);
  if (state === 'failed') count(jobFailures, { code: problemOf(error?.code ?? '').code }, exemplar);
}

/** @param from in ISO 8601. A future or invalid time counts as 0 ms ago: a metric must not fail a job. */
export const msSince = (from: string, now: number): number => Math.max(0, now - Date.parse(from) || 0);
