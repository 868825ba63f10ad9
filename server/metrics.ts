import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Buckets in seconds, from the read of a tile to the upload of a slide. */
const DURATIONS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000];

export type Metrics = ReturnType<typeof createMetrics>;

/**
 * Creates all metrics of a server, in a registry of its own. Each label has few values.
 * @param build versions by package name, such as `{ "onnxruntime-node": "1.20.0" }`
 */
export function createMetrics(build: Readonly<Record<string, string>>) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const metrics = {
    stageDuration: new Histogram({
      name: 'unseam_stage_duration_seconds',
      help: 'Time in each stage: upload and encode of an image; decode, queue, infer and stitch of a tile.',
      labelNames: ['stage'] as const,
      buckets: DURATIONS,
      registers,
    }),
    requestDuration: new Histogram({
      name: 'unseam_http_request_duration_seconds',
      help: 'Time from the headers of a request to the end of its response.',
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
      help: 'Mask pixels computed.',
      labelNames: ['model'] as const,
      registers,
    }),
    haloPixels: new Counter({
      name: 'unseam_halo_pixels_total',
      help: 'Pixels computed by the network that no tile owns.',
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
    memoryBytes: new Gauge({
      name: 'unseam_memory_bytes',
      help: "The worker's memory by what it is for: estimates that its limit is kept by, but for the tile cache.",
      labelNames: ['owner'] as const,
      registers,
    }),
    tilePixels: new Gauge({
      name: 'unseam_model_tile_pixels',
      help: 'Side of the output of tiles that was chosen for large images, from measurements.',
      labelNames: ['model'] as const,
      registers,
    }),
    lanes: new Gauge({
      name: 'unseam_model_lanes',
      help: 'Lanes that were chosen, from measurements.',
      labelNames: ['model'] as const,
      registers,
    }),
    laneThreads: new Gauge({
      name: 'unseam_model_lane_threads',
      help: 'Threads of each of those lanes.',
      labelNames: ['model'] as const,
      registers,
    }),
    tunedSpeed: new Gauge({
      name: 'unseam_model_pixels_per_second',
      help: 'Mask pixels a second that were measured for that tile and those lanes.',
      labelNames: ['model'] as const,
      registers,
    }),
    batchSize: new Histogram({
      name: 'unseam_batch_size',
      help: 'Tiles per batch.',
      buckets: [1, 2, 4, 8, 16],
      registers,
    }),
    queueDepth: new Gauge({
      name: 'unseam_queue_depth',
      help: 'Queue lengths: jobs of each priority that wait for a place, tiles that wait for a batch.',
      labelNames: ['class'] as const,
      registers,
    }),
    jobs: new Gauge({
      name: 'unseam_jobs',
      help: 'Jobs by state.',
      labelNames: ['state'] as const,
      registers,
    }),
    jobPauses: new Counter({
      name: 'unseam_job_pauses_total',
      help: 'Jobs paused, by the code of their failure.',
      labelNames: ['code'] as const,
      registers,
    }),
    engineBusy: new Counter({
      name: 'unseam_engine_busy_seconds_total',
      help: 'Time the device spent computing: that of each batch, by its share of the threads.',
      labelNames: ['device'] as const,
      registers,
    }),
    engineRestarts: new Counter({
      name: 'unseam_engine_restarts_total',
      help: 'Times that a device was lost and started again, alone or with the worker process.',
      labelNames: ['device'] as const,
      registers,
    }),
    deviceInfo: new Gauge({
      name: 'unseam_device_info',
      help: 'Name, driver and precision of each device, as labels of a constant 1.',
      labelNames: ['device', 'name', 'driver', 'precision'] as const,
      registers,
    }),
    deviceUp: new Gauge({
      name: 'unseam_device_up',
      help: 'Whether a device computes at present.',
      labelNames: ['device'] as const,
      registers,
    }),
    deviceMemory: new Gauge({
      name: 'unseam_device_memory_bytes',
      help: 'Memory of a GPU, where its driver states it.',
      labelNames: ['device'] as const,
      registers,
    }),
    libraryInfo: new Gauge({
      name: 'unseam_library_info',
      help: "Versions and commits of what the devices' results depend on, as labels of a constant 1.",
      labelNames: ['name', 'version'] as const,
      registers,
    }),
    tilingExact: new Gauge({
      name: 'unseam_tiling_exact',
      help: 'Whether tiles were bit for bit as one pass over the whole image in the test of a graph on these devices.',
      labelNames: ['model', 'output', 'symmetries', 'threshold'] as const,
      registers,
    }),
    tilingDifference: new Gauge({
      name: 'unseam_tiling_largest_difference',
      help: 'Largest difference between probabilities that this test saw, from 0 to 1.',
      labelNames: ['model', 'output', 'symmetries', 'threshold'] as const,
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

/** Converts a package name to a label name of Prometheus. */
function labelName(name: string): string {
  return name.replace(/\W+/g, '_').replace(/^_/, '');
}
