import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { EngineOptions } from '../model/engine.js';
import { engineVersions } from '../model/versions.js';
import { createApp } from './http/app.js';
import { JobRunner } from './job-runner.js';
import { createMetrics } from './metrics.js';
import { ModelShelf } from './models.js';
import { WorkerClient } from './worker/client.js';

export interface ServeOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly models: string;
  /** A folder of its own is made in it, and removed at the end. */
  readonly scratch: string;
  readonly engine: EngineOptions;
  readonly maxPixels: number;
  readonly maxBodyBytes: number;
  readonly idleTimeoutMs: number;
  readonly concurrency: number;
  readonly queueLimit: number;
  readonly log: Logger;
}

export interface RunningServer {
  readonly url: string;
  readonly scratchDir: string;
  /** Takes no new requests, finishes those it has, stops the worker, removes the scratch folder. */
  close(): Promise<void>;
}

/** Starts the HTTP server and its worker process; resolves when it listens. */
export async function startServer(options: ServeOptions): Promise<RunningServer> {
  const { host, port, models, log, engine, maxPixels } = options;
  const metrics = createMetrics(engineVersions());
  const scratchDir = await mkdtemp(join(options.scratch, 'unseam-'));
  let state: 'open' | 'draining' = 'open';
  const worker = new WorkerClient(
    { modelsDir: models, maxPixels, engine },
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
  );
  const jobs = new JobRunner({
    worker,
    metrics,
    concurrency: options.concurrency,
    limit: options.queueLimit,
  });
  const app = createApp({
    jobs,
    shelf: new ModelShelf(models),
    metrics,
    log,
    scratchDir,
    limits: { maxBytes: options.maxBodyBytes, idleTimeoutMs: options.idleTimeoutMs },
    unready: () =>
      state === 'draining' ? 'draining' : worker.device === null ? 'the worker is not ready' : null,
  });
  const server = createServer(app);
  // A slide may take an hour to send and to compute: only silence ends an upload (see receiveImage).
  server.requestTimeout = 0;
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    await worker.stop();
    await rm(scratchDir, { recursive: true, force: true });
    throw error;
  }
  const url = urlOf(server);
  log.info({ url, models, scratchDir }, 'listening');
  return {
    url,
    scratchDir,
    async close() {
      state = 'draining';
      log.info('draining');
      const closed = once(server, 'close');
      server.close();
      server.closeIdleConnections();
      await closed;
      await worker.stop();
      await rm(scratchDir, { recursive: true, force: true });
      log.info('closed');
    },
  };
}

function urlOf(server: Server): string {
  const { address, port, family } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
