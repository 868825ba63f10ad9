import type { Transfers } from './http/transfers.js';
import type { Jobs } from './jobs/jobs.js';
import type { Metrics } from './metrics/metrics.js';
import { ProcessMeter } from './metrics/process-meter.js';
import { childrenOf, OwnUse, type ProcessUse, useOf } from './metrics/process-use.js';
import type { Readers } from './readers/readers.js';
import type { DiskAccount } from './storage/disk-account.js';
import { diskSpace } from './storage/free-space.js';
import type { WorkerClient } from './worker/client.js';

export interface GaugeSources {
  readonly metrics: Metrics;
  readonly jobs: Pick<Jobs, 'gauge'>;
  readonly transfers: Pick<Transfers, 'receiving' | 'reservedBytes'>;
  readonly worker: Pick<WorkerClient, 'pid'>;
  /** Resource use of the worker's process at its last beat; null before the first one. */
  readonly workerUse: () => ProcessUse | null;
  readonly readers: Pick<Readers, 'pids'>;
  /** Whether the server accepts work at present. */
  readonly isReady: () => boolean;
  readonly account: Pick<DiskAccount, 'total'>;
  /** Quota of the data folder, in bytes; null for the size of its disk. */
  readonly quotaBytes: number | null;
  /** The data folder. */
  readonly folder: string;
}

/**
 * Returns a function that measures the gauges that change without an event, to be called for each scrape: so one scrape
 * has the server and its processes. The worker measures itself; other processes are looked up where the system has
 * /proc.
 */
export function gaugesOf(sources: GaugeSources): () => Promise<void> {
  const { metrics, jobs, transfers, worker, workerUse, readers, isReady, folder } = sources;
  const { account, quotaBytes } = sources;
  const meter = new ProcessMeter(metrics);
  const own = new OwnUse();
  const byId = async (pids: readonly number[]) => {
    const uses = await Promise.all(pids.map(async (pid) => [pid, await useOf(pid)] as const));
    return new Map(uses.flatMap(([pid, use]) => (use === null ? [] : [[pid, use]])));
  };
  return async () => {
    jobs.gauge();
    metrics.ready.set(isReady() ? 1 : 0);
    metrics.uploadsReceiving.set(transfers.receiving);
    metrics.uploadReserved.set(transfers.reservedBytes);
    metrics.dataBytes.set(account.total);
    const { pid } = worker;
    const use = workerUse();
    meter.update('server', new Map([[process.pid, own.measure()]]));
    meter.update('worker', new Map(pid === undefined || use === null ? [] : [[pid, use]]));
    const { headers, tiles, results } = readers.pids;
    const [devices, headerReaders, tileReaders, resultReaders, space] = await Promise.all([
      pid === undefined ? new Map() : childrenOf(pid).then(byId),
      byId(headers),
      byId(tiles),
      byId(results),
      diskSpace(folder).catch(() => null),
    ]);
    meter.update('device', devices);
    meter.update('header-reader', headerReaders);
    meter.update('tile-reader', tileReaders);
    meter.update('result-reader', resultReaders);
    if (space === null) return; // the disk fails: the gauges keep their last values
    metrics.diskFree.set(space.free);
    metrics.diskSize.set(space.size);
    metrics.dataQuota.set(quotaBytes ?? space.size);
  };
}
