import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** From a tile's read to a slide's upload, in seconds. */
const DURATIONS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000];

export type Metrics = ReturnType<typeof createMetrics>;

/** Every metric, in one table, in a registry of its own. Labels have few values each. */
export function createMetrics(build: Readonly<Record<string, string>>) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const metrics = {
    stageDuration: new Histogram({
      name: 'unseam_stage_duration_seconds',
      help: 'Time in each stage: upload and encode an image, decode, queue, infer and stitch a tile.',
      labelNames: ['stage'] as const,
      buckets: DURATIONS,
      registers,
    }),
    requestDuration: new Histogram({
      name: 'unseam_http_request_duration_seconds',
      help: 'Time from the head of a request to the end of its response.',
      labelNames: ['route', 'method', 'status'] as const,
      buckets: DURATIONS,
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
      help: 'Pixels of masks computed.',
      labelNames: ['model'] as const,
      registers,
    }),
    haloPixels: new Counter({
      name: 'unseam_halo_pixels_total',
      help: 'Pixels that the network computed and no tile owns.',
      registers,
    }),
    batchSize: new Histogram({
      name: 'unseam_batch_size',
      help: 'Tiles in a batch.',
      buckets: [1, 2, 4, 8, 16],
      registers,
    }),
    queueDepth: new Gauge({
      name: 'unseam_queue_depth',
      help: 'What waits: jobs of each priority for a place, tiles for a batch.',
      labelNames: ['class'] as const,
      registers,
    }),
    jobs: new Gauge({
      name: 'unseam_jobs',
      help: 'Jobs that are in the server, by state.',
      labelNames: ['state'] as const,
      registers,
    }),
    jobPauses: new Counter({
      name: 'unseam_job_pauses_total',
      help: 'Jobs that were paused, by the reason.',
      labelNames: ['code'] as const,
      registers,
    }),
    engineBusy: new Counter({
      name: 'unseam_engine_busy_seconds_total',
      help: 'Time that the device computed.',
      labelNames: ['device'] as const,
      registers,
    }),
    engineRestarts: new Counter({
      name: 'unseam_engine_restarts_total',
      help: 'Worker processes that ended and were replaced.',
      labelNames: ['device'] as const,
      registers,
    }),
    buildInfo: new Gauge({
      name: 'unseam_build_info',
      help: 'Versions, as labels of a constant 1.',
      labelNames: Object.keys(build).map(labelName),
      registers,
    }),
  };
  metrics.buildInfo.set(
    Object.fromEntries(Object.entries(build).map(([name, v]) => [labelName(name), v])),
    1,
  );
  metrics.queueDepth.set({ class: 'tiles' }, 0);
  return { registry, ...metrics };
}

/** A package's name as Prometheus allows labels to be named. */
function labelName(name: string): string {
  return name.replace(/\W+/g, '_').replace(/^_/, '');
}
