import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { DURATIONS, JOB_DURATIONS } from './buckets.js';

/** The life of jobs, and what they compute. */
export function jobMetrics(registry: Registry) {
  const registers = [registry];
  return {
    stageDuration: new Histogram({
      name: 'unseam_stage_duration_seconds',
      help: 'Time in each stage: upload, statistics and encode of an image; decode, queue, infer and stitch of a tile.',
      labelNames: ['stage'] as const,
      buckets: DURATIONS,
      enableExemplars: true,
      registers,
    }),
    jobWait: new Histogram({
      name: 'unseam_job_wait_seconds',
      help: 'Time from the submission of a job to its first start.',
      labelNames: ['class'] as const,
      buckets: JOB_DURATIONS,
      enableExemplars: true,
      registers,
    }),
    jobDuration: new Histogram({
      name: 'unseam_job_duration_seconds',
      help: 'Time from the submission of a job to its end, for jobs that were not answered from a cache.',
      labelNames: ['class', 'state'] as const,
      buckets: JOB_DURATIONS,
      enableExemplars: true,
      registers,
    }),
    jobs: new Gauge({
      name: 'unseam_jobs',
      help: 'Jobs by state.',
      labelNames: ['state'] as const,
      registers,
    }),
    jobFailures: new Counter({
      name: 'unseam_job_failures_total',
      help: 'Jobs that failed, by the code of their error.',
      labelNames: ['code'] as const,
      enableExemplars: true,
      registers,
    }),
    jobRetries: new Counter({
      name: 'unseam_job_retries_total',
      help: 'Attempts of jobs that are repeated after a transient error, by its code.',
      labelNames: ['code'] as const,
      enableExemplars: true,
      registers,
    }),
    jobPauses: new Counter({
      name: 'unseam_job_pauses_total',
      help: 'Jobs paused, by the code of their failure.',
      labelNames: ['code'] as const,
      enableExemplars: true,
      registers,
    }),
    jobRestarts: new Counter({
      name: 'unseam_job_restarts_total',
      help: 'Times that a job went on in another worker, because the one that it ran in was lost.',
      enableExemplars: true,
      registers,
    }),
    queueDepth: new Gauge({
      name: 'unseam_queue_depth',
      help: 'Jobs that wait for a place, by their priority.',
      labelNames: ['class'] as const,
      registers,
    }),
    queueAge: new Gauge({
      name: 'unseam_queue_age_seconds',
      help: 'Time that the one that waits longest of these jobs has waited; 0 where none waits.',
      labelNames: ['class'] as const,
      registers,
    }),
    tilesWaiting: new Gauge({
      name: 'unseam_tiles_waiting',
      help: 'Tiles that wait for a batch, by the priority of their jobs.',
      labelNames: ['class'] as const,
      registers,
    }),
    tilesWaitingAge: new Gauge({
      name: 'unseam_tiles_waiting_age_seconds',
      help: 'Time that the first of these tiles has waited; 0 where none waits.',
      labelNames: ['class'] as const,
      registers,
    }),
    tiles: new Counter({
      name: 'unseam_tiles_total',
      help: 'Tiles segmented.',
      labelNames: ['model'] as const,
      registers,
    }),
    pixels: new Counter({
      name: 'unseam_pixels_total',
      help: 'Mask pixels computed.',
      labelNames: ['model'] as const,
      registers,
    }),
    haloPixels: new Counter({
      name: 'unseam_halo_pixels_total',
      help: 'Pixels computed by the network that no tile owns.',
      labelNames: ['model'] as const,
      registers,
    }),
    constantTiles: new Counter({
      name: 'unseam_constant_tiles_total',
      help: 'Tiles of one value that were not computed, because an earlier one of that value was.',
      labelNames: ['model'] as const,
      registers,
    }),
    cacheHits: new Counter({
      name: 'unseam_cache_hits_total',
      help: 'Tiles that have the result of an equal one, and requests that have the results of an earlier one.',
      labelNames: ['cache'] as const,
      registers,
    }),
    cacheMisses: new Counter({
      name: 'unseam_cache_misses_total',
      help: 'Tiles that were computed, and requests without the results of an earlier one.',
      labelNames: ['cache'] as const,
      registers,
    }),
    cacheBytes: new Gauge({
      name: 'unseam_cache_bytes',
      help: 'Memory that the results in a cache take.',
      labelNames: ['cache'] as const,
      registers,
    }),
  };
}
