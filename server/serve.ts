import { once } from 'node:events';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Card } from '../model/card.js';
import type { EngineOptions } from '../model/engine.js';
import { ModelShelf } from '../model/shelf.js';
import { engineVersions } from '../model/versions.js';
import { formatBytes } from './contract/byte-size.js';
import { RequestError } from './contract/errors.js';
import { createApp, createWaitingApp, type Door } from './http/app.js';
import { createHttpServer } from './http/connections.js';
import { Drain } from './http/drain.js';
import { hostPolicy } from './http/guard.js';
import { Transfers } from './http/transfers.js';
import { Uploads } from './http/uploads.js';
import { Jobs } from './jobs/jobs.js';
import type { RecoveryTimes } from './jobs/recovery.js';
import { JobStore } from './jobs/store.js';
import { createMetrics } from './metrics.js';
import { jobsThatFit, leastMemory } from './pipeline/memory.js';
import { Readers, type ReadersOptions } from './readers/readers.js';
import { takeFolder } from './storage/data-folder.js';
import { makeFolder, needFolder } from './storage/folders.js';
import type { FolderLock } from './storage/lock.js';
import { WorkerClient } from './worker/client.js';
import type { WorkerLimits } from './worker/limits.js';

export interface ServeOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly models: string;
  /** Where jobs are kept, and uploads: made if it is not there. One server's own. */
  readonly data: string;
  /** Images below this folder may be named as sources of jobs; null for none. */
  readonly slides: string | null;
  /** Hosts, with their ports if they have any, from which TIFFs may be read by URL. */
  readonly allowedHosts: readonly string[];
  /** Names that requests may call the server by, besides loopback's; null: those of the address it listens on. */
  readonly hostNames: readonly string[] | null;
  readonly engine: EngineOptions;
  readonly maxPixels: number;
  /** Bytes that a picture may take of memory where it has to be unpacked as a whole. */
  readonly maxUnpackedBytes: number;
  /** What a worker may take of memory. */
  readonly memoryBytes: number;
  readonly maxBodyBytes: number;
  /** Images of more px are answered with a job. */
  readonly syncPixels: number;
  /** Of a body that brings too little, and of a client that reads nothing of its result. */
  readonly idleTimeoutMs: number;
  /** Bytes a second that every body has to bring. */
  readonly leastRate: number;
  /** Bytes of the disk that uploads leave free; null: a gigabyte, or a twentieth of a smaller disk. */
  readonly minFreeBytes: number | null;
  readonly concurrency: number;
  readonly queueLimit: number;
  /** How long jobs that have ended are kept. */
  readonly keepMs: number;
  /** How long what is in flight may take when the server stops; then it is ended. */
  readonly drainMs: number;
  /** How failures that pass are waited out. */
  readonly recovery?: RecoveryTimes;
  /** How long a header may take to read. */
  readonly readers?: Pick<ReadersOptions, 'headerMs'>;
  /** How long a worker may take for what. */
  readonly worker?: Partial<WorkerLimits>;
  readonly log: Logger;
}

export interface RunningServer {
  readonly url: string;
  /** Of the worker process that runs now. */
  readonly workerPid: () => number | undefined;
  /** Rejects where the server cannot go on: another one has its folder. Nothing of it may be touched then. */
  readonly failed: Promise<never>;
  /** Of the processes that read headers. */
  readonly headerPids: () => readonly number[];
  /**
   * Takes no new requests, finishes those that are waited for, for `drainMs` at most, and stops the worker.
   * Jobs that nobody waits for are put back, and go on when the next server starts.
   */
  close(): Promise<void>;
}

/** How long answers may take to leave once the time to drain is over. */
const LAST_WORDS_MS = 1000;
/** How often uploads are looked through for those that nobody goes on with. */
const EXPIRY_MS = 600_000;

/** What works behind the HTTP server, once the data folder is ours. */
interface Works {
  readonly app: RequestListener;
  readonly worker: WorkerClient;
  readonly readers: Readers;
  readonly jobs: Jobs;
  readonly stop: () => Promise<void>;
}

/**
 * Starts the HTTP server and its worker process; resolves when it listens. Where a server of another machine
 * may have the data folder, it listens and says so until that one's lease has ended.
 *
 * @throws RequestError `folder-in-use` where a process of this machine has the folder
 */
export async function startServer(options: ServeOptions): Promise<RunningServer> {
  const { host, port, models, data, slides, drainMs, log } = options;
  await needFolder(models, '--models');
  if (slides !== null) await needFolder(slides, '--slides');
  checkMemory((await new ModelShelf(models).survey()).cards, options.memoryBytes, log);
  await makeFolder(data);
  const drain = new Drain();
  const door = { hosts: hostPolicy(host, options.hostNames), drain, log };
  const folder = await takeFolder(data, log);
  let works: Works | null = null;
  const opened = folder.lock.then(async (lock) => {
    works = await openWorks(options, door, lock).catch(async (error: unknown) => {
      await lock.release();
      throw error;
    });
    return works;
  });
  const unopened = new Promise<never>((_, reject) => opened.catch(reject));
  const failed = Promise.race([folder.lost, unopened]);
  failed.catch(() => undefined); // who runs the server listens to it
  if (folder.holder === null) await opened;

  const waiting = createWaitingApp(`waiting for the data folder: ${folder.holder} had it last`, door);
  const server = createHttpServer((request, response) => (works?.app ?? waiting)(request, response));
  const stop = async () => {
    folder.stop();
    await opened.then(
      (ours) => ours.stop(),
      () => undefined,
    );
  };
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    await stop();
    throw cannotListen(error as NodeJS.ErrnoException, host, port);
  }
  const url = urlOf(server);
  log.info({ url, models, data }, 'listening');
  return {
    url,
    failed,
    workerPid: () => works?.worker.pid,
    headerPids: () => works?.readers.headerPids ?? [],
    async close() {
      log.info({ seconds: drainMs / 1000 }, 'draining');
      drain.begin();
      // Jobs that nobody waits for are put back at once; the streams of their events end with them.
      const drained = Promise.all([works?.jobs.close(), drain.finished()]).then(() => true);
      if (!(await Promise.race([drained, after(drainMs, false)]))) {
        log.warn('what is left has had its time');
        drain.end();
        await Promise.race([drained, after(LAST_WORDS_MS, false)]);
      }
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
      await stop();
      log.info('closed');
    },
  };
}

async function openWorks(options: ServeOptions, door: Door, lock: FolderLock): Promise<Works> {
  const { models, data, slides, log, engine, maxPixels, queueLimit, keepMs } = options;
  const { maxBodyBytes, idleTimeoutMs, leastRate, minFreeBytes } = options;
  const metrics = createMetrics(engineVersions());
  // What may fail comes first: processes would be left over that had been started before.
  const { store, ...stored } = await JobStore.open(data);
  const transfers = new Transfers({ folder: data, places: queueLimit, minFreeBytes });
  const uploads = await Uploads.open(join(data, 'uploads'), '/v1/uploads', maxBodyBytes, keepMs, transfers);
  const worker = new WorkerClient(
    {
      modelsDir: models,
      maxPixels,
      maxUnpackedBytes: options.maxUnpackedBytes,
      engine: { ...engine, outcomes: join(data, 'self-tests.json') },
      allowedHosts: options.allowedHosts,
      memory: options.memoryBytes,
    },
    {
      onBatch: (tiles, ranMs, waiting) => {
        metrics.batchSize.observe(tiles);
        metrics.engineBusy.inc({ device: engine.provider }, ranMs / 1000);
        metrics.queueDepth.set({ class: 'tiles' }, waiting);
      },
      onLost: (why) => {
        metrics.engineRestarts.inc({ device: engine.provider });
        log.error(why);
      },
    },
    options.worker,
  );
  const { maxUnpackedBytes, allowedHosts } = options;
  const readers = new Readers({ maxPixels, maxUnpackedBytes, allowedHosts, ...options.readers });
  const shelf = new ModelShelf(models);
  const concurrency = Math.min(options.concurrency, jobsThatFit(options.memoryBytes));
  const jobs = new Jobs(
    {
      ...{ store, worker, readers, shelf, metrics, log, concurrency },
      ...{ limit: queueLimit, keepMs, now: Date.now, recovery: options.recovery },
    },
    stored,
  );
  const app = createApp({
    ...door,
    ...{ jobs, store, shelf, slides, uploads, metrics },
    limits: { maxBytes: maxBodyBytes, transfers },
    idleTimeoutMs,
    bodies: { idleTimeoutMs, leastRate },
    syncPixels: options.syncPixels,
    unready: () => worker.unready,
  });
  const expiry = setInterval(
    () => void uploads.expire().catch((err: unknown) => log.error({ err })),
    EXPIRY_MS,
  );
  expiry.unref();
  const stop = async () => {
    clearInterval(expiry);
    await jobs.close();
    await Promise.all([worker.stop(), readers.close()]);
    await lock.release();
  };
  log.info({ jobs: stored.records.length, concurrency }, 'the data folder is open');
  return { app, worker, readers, jobs, stop };
}

/**
 * A server that would refuse every image does not start.
 * @throws RequestError `too-little-memory`, in figures
 */
function checkMemory(cards: readonly Card[], memory: number, log: Logger): void {
  const needs = cards.map((card) => ({ name: card.name, bytes: leastMemory(card) }));
  const small = needs.filter(({ bytes }) => bytes > memory);
  const words = small.map(({ name, bytes }) => `${name} ${formatBytes(bytes)}`).join(', ');
  if (needs.length > 0 && small.length === needs.length) {
    const least = formatBytes(Math.min(...needs.map(({ bytes }) => bytes)));
    throw new RequestError(
      'too-little-memory',
      `--memory allows ${formatBytes(memory)}, and a model takes ${least} at least (${words})`,
    );
  }
  if (small.length > 0)
    log.warn({ memory: formatBytes(memory), models: words }, 'models do not fit into the memory');
}

function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const { code } = error;
  if (code === 'EADDRINUSE')
    return new RequestError(
      'address-in-use',
      `another program listens on ${host}, port ${port}: choose another --port`,
    );
  if (code === undefined || error.syscall === undefined) return error;
  return new RequestError('bad-address', `the server cannot listen on ${host}, port ${port} (${code})`, {
    cause: error,
  });
}

function after<Value>(ms: number, value: Value): Promise<Value> {
  return new Promise((resolve) => setTimeout(resolve, ms, value).unref());
}

function urlOf(server: Server): string {
  const { address, port, family } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
