import { Counter, Gauge, type Registry } from 'prom-client';

/** The processes of a server, and what they take of the machine. */
export function processMetrics(registry: Registry) {
  const registers = [registry];
  return {
    ready: new Gauge({
      name: 'unseam_ready',
      help: 'Whether the server accepts work at present, as /readyz says.',
      registers,
    }),
    processes: new Gauge({
      name: 'unseam_processes',
      help: 'Processes that run, by what they do.',
      labelNames: ['process'] as const,
      registers,
    }),
    processMemory: new Gauge({
      name: 'unseam_process_resident_memory_bytes',
      help: 'Resident memory of these processes. Pages that several of them share count in each.',
      labelNames: ['process'] as const,
      registers,
    }),
    processCpu: new Counter({
      name: 'unseam_process_cpu_seconds_total',
      help: 'Processor time of these processes, those that have ended included.',
      labelNames: ['process'] as const,
      registers,
    }),
    eventLoop: new Gauge({
      name: 'unseam_process_event_loop_utilization_ratio',
      help: 'Part of the time in which the JavaScript thread of a process was busy: at 1, it is what is waited for.',
      labelNames: ['process'] as const,
      registers,
    }),
    workerDeaths: new Counter({
      name: 'unseam_worker_deaths_total',
      help: 'Worker processes that were lost, by the cause.',
      labelNames: ['cause'] as const,
      registers,
    }),
    readerDeaths: new Counter({
      name: 'unseam_reader_deaths_total',
      help: 'Processes that read images and were lost, by the cause.',
      labelNames: ['cause'] as const,
      registers,
    }),
    memoryBytes: new Gauge({
      name: 'unseam_memory_bytes',
      help: "The worker's memory by what it is for: estimates that its limit is kept by, but for the tile cache.",
      labelNames: ['owner'] as const,
      registers,
    }),
    memoryLimit: new Gauge({
      name: 'unseam_memory_limit_bytes',
      help: 'Limit of the resident memory of all processes together.',
      registers,
    }),
    dataBytes: new Gauge({
      name: 'unseam_data_bytes',
      help: 'Bytes of jobs and uploads, as the quota counts them.',
      registers,
    }),
    dataQuota: new Gauge({
      name: 'unseam_data_quota_bytes',
      help: 'Limit of these bytes; without one, the size of the disk.',
      registers,
    }),
    diskFree: new Gauge({
      name: 'unseam_disk_free_bytes',
      help: 'What the server may still write to the disk of its data folder.',
      registers,
    }),
    diskSize: new Gauge({
      name: 'unseam_disk_size_bytes',
      help: 'Size of the disk of the data folder.',
      registers,
    }),
  };
}
