import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import { environmentOf } from '../model/devices/environment.js';
import { engineVersions } from '../model/devices/versions.js';
import { DeviceUnavailableError } from '../model/errors.js';
import { ModelShelf } from '../model/shelf/shelf.js';
import { gaugesOf } from './gauges.js';
import { type BaseDependencies, createApp } from './http/app.js';
import { NO_SLIDES, SlideFolder } from './http/slides.js';
import { Transfers } from './http/transfers.js';
import { Uploads } from './http/uploads.js';
import { Jobs } from './jobs/jobs.js';
import { ResultKeys } from './jobs/result-key.js';
import { JobStore } from './jobs/store.js';
import { type Limits, usageOf } from './limits.js';
import { createMetrics } from './metrics/metrics.js';
import {
  defaultResponseCache,
  defaultTileCache,
  maxConcurrentJobs,
  SERVER_BYTES,
} from './pipeline/memory.js';
import { READER_CAUSES, type ReaderCause } from './readers/process.js';
import { Readers } from './readers/readers.js';
import type { ServeOptions } from './serve-options.js';
import { DiskAccount } from './storage/disk-account.js';
import type { FolderLock } from './storage/lock.js';
import { untilAborted } from './storage/until-aborted.js';
import { openTraces } from './traces/open-traces.js';
import { WorkerClient, type WorkerEvents } from './worker/client.js';
import { KnownDevices } from './worker/known-devices.js';
import type { WorkerCalls } from './worker/methods.js';
import { WorkerObserver } from './worker/worker-metrics.js';

/** Interval between removals of abandoned uploads. */
const EXPIRY_MS = 600_000;

/** The processes of a server: the worker, which runs networks, and the readers, which open images. */
export interface Processes {
  readonly worker: Pick<
    WorkerClient,
    'run' | 'hold' | 'started' | 'unready' | 'pid' | 'stop' | keyof WorkerCalls
  >;
  readonly readers: Pick<Readers, 'header' | 'tile' | 'derive' | 'evict' | 'headerPids' | 'pids' | 'close'>;
}

/** The memory of a server in bytes, by what it is for; `worker` has `tileCache` and `jobs`. */
export function memoryOf(options: ServeOptions) {
  const { memoryBytes: total, tileCacheBytes, responseCacheBytes, reusesResults } = options;
  const tileCache = tileCacheBytes ?? defaultTileCache(total);
  const responseCache = reusesResults ? (responseCacheBytes ?? defaultResponseCache(total)) : 0;
  const worker = Math.max(0, total - responseCache - SERVER_BYTES);
  return { total, tileCache, responseCache, worker, jobs: Math.max(0, worker - tileCache) };
}

/** Starts the worker; readers are started on demand. */
export function startProcesses(
  options: ServeOptions,
  events: WorkerEvents,
  onReaderDeath?: (cause: ReaderCause) => void,
): Processes {
  const { models, data, engine, maxPixels, maxUnpackedBytes, allowedHosts } = options;
  const memory = memoryOf(options);
  const worker = new WorkerClient(
    {
      modelHost: {
        modelsDir: models,
        engine: { ...engine, outcomes: join(data, 'self-tests.json') },
        tunings: join(data, 'tunings.json'),
        memory: memory.worker,
        tileCacheBytes: memory.tileCache,
      },
      maxPixels,
      maxUnpackedBytes,
      allowedHosts,
    },
    events,
    options.worker,
    { ...options.diagnostics, isSilent: options.privateNames },
  );
  const limits = { maxPixels, maxUnpackedBytes, allowedHosts };
  const isSilent = options.privateNames;
  const readers = new Readers({
    ...limits,
    isSilent,
    ...(onReaderDeath && { onDeath: onReaderDeath }),
    ...options.readers,
  });
  return { worker, readers };
}

/** What serves requests once the data folder is locked. */
export interface Services extends Processes {
  readonly app: RequestListener;
  readonly jobs: Jobs;
  /** Requeues the jobs, stops the processes and releases the data folder. */
  readonly close: () => Promise<void>;
}

/**
 * Opens the data folder, starts the processes and builds the app on them.
 * @param lock of the data folder; released by `close`
 * @param signal stops waiting for devices to start
 */
export async function openServices(
  options: ServeOptions,
  base: BaseDependencies,
  limits: Limits,
  lock: FolderLock,
  signal: AbortSignal,
  start: typeof startProcesses = startProcesses,
): Promise<Services> {
  const {
    models,
    data,
    slides,
    log,
    audit,
    privateNames,
    engine,
    syncPixels,
    queueLimit,
    keepMs,
    reusesResults,
  } = options;
  const { maxBodyBytes, idleTimeoutMs, minRate } = options;
  const tensorflow = engine.tensorflow ? { ...engine.tensorflow, library: null } : null;
  const versions = engineVersions(tensorflow);
  const metrics = createMetrics(versions);
  const memory = memoryOf(options);
  metrics.memoryLimit.set(memory.total);
  const traces = openTraces(options.traces ?? null, metrics, log);
  // What may fail comes before the processes, which would outlive the failure.
  const account = new DiskAccount(limits.disk);
  const { store, ...stored } = await JobStore.open(data, account);
  const transfers = new Transfers({
    folder: data,
    places: queueLimit,
    ownerPlaces: limits.ownerPlaces,
    minFreeBytes: limits.minFreeBytes,
    account,
    onReceived: (bytes) => metrics.uploadBytes.inc(bytes),
  });
  const uploads = await Uploads.open({
    folder: join(data, 'uploads'),
    path: '/v1/uploads',
    maxBytes: maxBodyBytes,
    keepMs,
    transfers,
    hidesNames: privateNames,
  });
  const environment = engine.provider === 'cpu' ? environmentOf('cpu', null, tensorflow) : null;
  const devices = new KnownDevices(environment, log, engine);
  const observer = new WorkerObserver(metrics, devices, log);
  for (const cause of READER_CAUSES) metrics.readerDeaths.inc({ cause }, 0);
  const { worker, readers } = start(options, observer.events, (cause) => metrics.readerDeaths.inc({ cause }));
  // What was not named cannot be missing: `auto` is the CPU at last, and requests wait for it.
  const isNamed = !['auto', 'cpu'].includes(engine.provider) || engine.devices !== undefined;
  if (isNamed || tensorflow !== null) {
    await untilAborted(requireDevices(worker.started, devices), signal).catch(async (error: unknown) => {
      await Promise.all([worker.stop(), readers.close()]);
      throw error;
    });
  }
  const shelf = new ModelShelf(models);
  const concurrency = Math.min(options.concurrency, maxConcurrentJobs(memory.jobs));
  const jobs = new Jobs(
    {
      store,
      worker,
      readers,
      shelf,
      metrics,
      log,
      tracer: traces.tracer,
      concurrency,
      limits: limits.admission,
      keepMs,
      resultKeys: reusesResults ? new ResultKeys(shelf, () => devices.environment) : null,
      responseCacheBytes: memory.responseCache,
      hidesNames: privateNames,
      onExpired: (id) => audit?.({ audit: 'expireJob', who: 'server', target: id }),
      now: Date.now,
      recovery: options.recovery,
    },
    stored,
  );
  const unready = () => worker.unready ?? devices.unready;
  const gauges = gaugesOf({
    metrics,
    jobs,
    transfers,
    worker,
    workerUse: () => observer.process,
    readers,
    isReady: () => !base.drain.draining && unready() === null,
    account,
    quotaBytes: limits.disk.quotaBytes,
    folder: data,
  });
  const app = createApp({
    ...base,
    audit,
    version: versions.unseam!,
    jobs,
    store,
    shelf,
    slides: slides === null ? NO_SLIDES : new SlideFolder(slides),
    uploads,
    metrics,
    limits: { maxBytes: maxBodyBytes, transfers },
    idleTimeoutMs,
    bodies: { idleTimeoutMs, minRate },
    rate: limits.rate,
    usage: usageOf(limits, jobs, account),
    syncPixels,
    unready,
    tracer: traces.tracer,
    gauges,
    devices: () => devices.lines,
  });
  const onExpired = (id: string) => audit?.({ audit: 'expireUpload', who: 'server', target: id });
  const expire = () =>
    void uploads.expire(onExpired).catch((err: unknown) => log.error({ err }, 'expiry failed'));
  expire(); // at once, since a server that is often restarted would never reach the interval
  const expiry = setInterval(expire, EXPIRY_MS).unref();
  log.info({ jobs: stored.records.length, concurrency }, 'data folder opened');
  return {
    app,
    worker,
    readers,
    jobs,
    async close() {
      clearInterval(expiry);
      await jobs.close();
      await Promise.all([worker.stop(), readers.close()]);
      await traces.close();
      await lock.release();
    },
  };
}

/**
 * Resolves when the first worker has all devices that were requested: a server that starts without one would be
 * noticed late. Later, it goes on with those that work.
 * @throws DeviceUnavailableError, RemoteError `device-unavailable`
 */
async function requireDevices(started: Promise<void>, devices: KnownDevices): Promise<void> {
  await started;
  const [failed] = devices.failed;
  if (failed) throw new DeviceUnavailableError(failed.failure!);
}
