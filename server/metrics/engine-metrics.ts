import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Devices, their batches, and how models are computed on them. */
export function engineMetrics(registry: Registry) {
  const registers = [registry];
  return {
    batchSize: new Histogram({
      name: 'unseam_batch_size',
      help: 'Tiles per batch.',
      buckets: [1, 2, 4, 8, 16],
      registers,
    }),
    batchFill: new Histogram({
      name: 'unseam_batch_fill_ratio',
      help: 'Tiles of a batch, by the most that it could have had.',
      buckets: [0.125, 0.25, 0.5, 0.75, 1],
      registers,
    }),
    engineBusy: new Counter({
      name: 'unseam_engine_busy_seconds_total',
      help: 'Time the device spent computing: that of each batch, by its share of the threads.',
      labelNames: ['device'] as const,
      registers,
    }),
    laneBusy: new Counter({
      name: 'unseam_engine_lane_busy_seconds_total',
      help: 'Time in which a lane of a device ran a batch: the sum of their rates is the lanes in use.',
      labelNames: ['device', 'lane'] as const,
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
  };
}
