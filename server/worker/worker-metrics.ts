import type { Logger } from 'pino';
import type { Metrics } from '../metrics/metrics.js';
import type { ProcessUse } from '../metrics/process-use.js';
import type { WorkerEvents } from './client.js';
import { setDeviceMetrics, setTilingMetrics } from './device-metrics.js';
import type { KnownDevices } from './known-devices.js';
import { DEATH_CAUSES } from './lost.js';
import type { WorkerLoad } from './methods.js';

/** Updates the metrics, and the known devices, by the events of a worker. */
export class WorkerObserver {
  readonly events: WorkerEvents;
  /** Resource use of its process at its last beat; null before the first one. */
  process: ProcessUse | null = null;

  constructor(
    private readonly metrics: Metrics,
    devices: KnownDevices,
    log: Logger,
  ) {
    for (const cause of DEATH_CAUSES) metrics.workerDeaths.inc({ cause }, 0);
    this.#setWaiting([]);
    this.events = {
      onBatch: ({ items, most, lane, ranMs, deviceMs }) => {
        const { names } = devices;
        const device = names[lane] ?? names[0]!;
        metrics.batchSize.observe(items);
        metrics.batchFill.observe(items / most);
        metrics.engineBusy.inc({ device }, (names.length * deviceMs) / 1000);
        metrics.laneBusy.inc({ device, lane: names.length > 1 ? 0 : lane }, ranMs / 1000);
      },
      onTileCache: (bytes) => metrics.cacheBytes.set({ cache: 'tiles' }, bytes),
      onLoad: (load) => this.#load(load),
      onChoice: (tuned) => {
        devices.choose(tuned);
        const { model, ...choice } = tuned;
        metrics.tilePixels.set({ model }, choice.tile);
        metrics.lanes.set({ model }, choice.lanes);
        metrics.laneThreads.set({ model }, choice.threads);
        metrics.tunedSpeed.set({ model }, choice.pixelsPerSecond);
      },
      onTiling: (tiling) => {
        devices.test(tiling);
        setTilingMetrics(metrics, tiling);
      },
      onDevices: (known) => {
        for (const device of devices.update(known)) metrics.engineRestarts.inc({ device });
        setDeviceMetrics(metrics, devices);
        // so that the first batch, and the first loss, are increases
        for (const device of devices.names) {
          metrics.engineBusy.inc({ device }, 0);
          metrics.engineRestarts.inc({ device }, 0);
        }
      },
      onLost: (reason, cause) => {
        devices.lose();
        setDeviceMetrics(metrics, devices);
        metrics.cacheBytes.set({ cache: 'tiles' }, 0);
        // the next worker may have other devices
        for (const gauge of [metrics.memoryBytes, metrics.tilingExact, metrics.tilingDifference])
          gauge.reset();
        for (const device of devices.names) metrics.engineRestarts.inc({ device });
        metrics.workerDeaths.inc({ cause });
        this.process = null;
        this.#setWaiting([]);
        log.error(reason);
      },
    };
  }

  #load({ memory, process, waiting }: WorkerLoad): void {
    for (const [owner, bytes] of Object.entries(memory)) this.metrics.memoryBytes.set({ owner }, bytes);
    this.process = process;
    this.#setWaiting(waiting);
  }

  /** Sets the gauges of tiles that wait, by the priority of their jobs; none for a worker that is lost. */
  #setWaiting(classes: WorkerLoad['waiting']): void {
    const { tilesWaiting, tilesWaitingAge } = this.metrics;
    tilesWaiting.reset();
    tilesWaitingAge.reset();
    for (const { priority, items, oldestMs } of classes) {
      tilesWaiting.set({ class: priority }, items);
      tilesWaitingAge.set({ class: priority }, oldestMs / 1000);
    }
  }
}
