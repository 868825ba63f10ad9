import { once } from 'node:events';
import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { DeviceUnavailableError } from '../model/errors.js';
import type { Card } from '../model/shelf/card.js';
import { ModelShelf } from '../model/shelf/shelf.js';
import { openAccess } from './access/open-access.js';
import { withoutMessages } from './access/private-log.js';
import { formatBytes } from './contract/byte-size.js';
import { RequestError } from './contract/errors.js';
import { createWaitingApp } from './http/app.js';
import { createHttpServer } from './http/connections.js';
import { Drain } from './http/drain.js';
import { hostPolicy } from './http/guard.js';
import { ProblemReporter } from './http/problem-reporter.js';
import { readTlsPair, watchTlsFiles } from './http/tls.js';
import { limitsOf } from './limits.js';
import { minServerMemory } from './pipeline/memory.js';
import type { ServeOptions } from './serve-options.js';
import { memoryOf, openServices, type Services, type startProcesses } from './services.js';
import { takeFolder } from './storage/data-folder.js';
import { makeFolder, requireFolder } from './storage/folders.js';
import { diskSpace } from './storage/free-space.js';

export interface RunningServer {
  readonly url: string;
  /** Process id of the present worker; undefined while the data folder is not ours. */
  readonly workerPid: () => number | undefined;
  /** Process ids of the readers of headers. */
  readonly headerPids: () => readonly number[];
  /**
   * Rejects when the server cannot continue: a device that takes long to start does not work, or another server has taken
   * the data folder, which must not be written to.
   */
  readonly failed: Promise<never>;
  /**
   * Shuts down gracefully: refuses new requests, requeues the jobs, finishes the requests in flight, aborts
   * those that remain after `drainMs`, and stops the processes. The next server resumes the jobs.
   */
  close(): Promise<void>;
}

/** How long the processes may take to start before the server listens, and says that it waits for them, in ms. */
const START_MS = 3000;
/** How long aborted requests may take to send their response, in ms. */
const LAST_RESPONSE_MS = 1000;

/**
 * Starts the HTTP server and its processes; resolves when it listens. While a server of another machine may
 * still hold the data folder, it listens and responds 503 until that lease has expired; and so it does while devices
 * start that take long.
 *
 * @param start starts the processes; tests start others
 * @throws RequestError `folder-in-use` if a process of this machine holds the data folder
 * @throws RequestError `bad-certificate`; `exposed` if anyone on the network could use it, and `isOpen` does not say so
 * @throws RequestError `not-found`, `bad-folder`, `too-little-memory`, `address-in-use`, `bad-address`; `bad-request` for
 *   limits that cannot hold together
 */
export async function startServer(
  given: ServeOptions,
  start?: typeof startProcesses,
): Promise<RunningServer> {
  const options = given.privateNames ? { ...given, log: withoutMessages(given.log) } : given;
  const { host, port, models, data, slides, drainMs, privateNames, log } = options;
  await requireFolder(models, '--models');
  if (slides !== null) await requireFolder(slides, '--slides');
  checkMemory((await new ModelShelf(models).survey()).cards, memoryOf(options), log);
  await makeFolder(data);
  const limits = limitsOf(options, await diskSpace(data));
  const reporter = new ProblemReporter(log, privateNames);
  const drain = new Drain(reporter);
  const authenticator = await openAccess(options);
  const { tls } = options;
  const pair = tls && (await readTlsPair(tls, log));
  const base = { authenticator, hosts: hostPolicy(host, options.hostNames), drain, reporter };
  const folder = await takeFolder(data, log);
  const stopping = new AbortController();
  let services: Services | null = null;
  const opened = folder.lock.then(async (lock) => {
    services = await openServices(options, base, limits, lock, stopping.signal, start).catch(
      async (error: unknown) => {
        await lock.release();
        throw error;
      },
    );
    return services;
  });
  const unopened = new Promise<never>((_, reject) => opened.catch(reject));
  const failed = Promise.race([folder.lost, unopened]);
  failed.catch(() => undefined); // handled by whoever runs the server
  if (folder.holder === null) await Promise.race([opened, after(START_MS, null)]);

  const reason =
    folder.holder === null
      ? new DeviceUnavailableError('waiting for the devices to start')
      : new RequestError('folder-in-use', `waiting for the data folder: ${folder.holder} held it last`);
  const waiting = createWaitingApp(reason, base);
  const server = createHttpServer(
    (request, response) => (services?.app ?? waiting)(request, response),
    reporter,
    { tls: pair },
  );
  const unwatch =
    tls !== null && server instanceof TlsServer ? watchTlsFiles(tls, server, log, tls.checkMs) : () => {};
  const release = async () => {
    unwatch();
    folder.stop();
    stopping.abort(new RequestError('draining', 'the server is stopping'));
    await opened.then(
      (ours) => ours.close(),
      () => undefined,
    );
  };
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    await release();
    throw cannotListen(error as NodeJS.ErrnoException, host, port);
  }
  const url = urlOf(server);
  log.info({ url, models, data }, 'listening');
  return {
    url,
    failed,
    workerPid: () => services?.worker.pid,
    headerPids: () => services?.readers.headerPids ?? [],
    async close() {
      log.info({ seconds: drainMs / 1000 }, 'draining');
      drain.begin();
      // Jobs without a waiting client are requeued at once, which ends their event streams.
      await finishOrAbort(drain, Promise.all([services?.jobs.close(), drain.finished()]), drainMs, log);
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
      await release();
      log.info('closed');
    },
  };
}

/** Waits until what is in flight is finished; aborts the requests that remain after `drainMs`. */
async function finishOrAbort(
  drain: Drain,
  inFlight: Promise<unknown>,
  drainMs: number,
  log: Logger,
): Promise<void> {
  const drained = inFlight.then(() => true);
  if (await Promise.race([drained, after(drainMs, false)])) return;
  log.warn('drain timed out: aborting the requests in flight');
  drain.end();
  await Promise.race([drained, after(LAST_RESPONSE_MS, false)]);
}

/**
 * Refuses to start a server that would refuse every image.
 * @throws RequestError `too-little-memory`, in figures
 */
function checkMemory(
  cards: readonly Card[],
  { total: memory, tileCache, responseCache }: ReturnType<typeof memoryOf>,
  log: Logger,
): void {
  const caches = tileCache + responseCache;
  const needs = cards.map((card) => ({ name: card.name, bytes: minServerMemory(card, caches) }));
  const tooLarge = needs.filter(({ bytes }) => bytes > memory);
  const list = tooLarge.map(({ name, bytes }) => `${name} ${formatBytes(bytes)}`).join(', ');
  if (needs.length > 0 && tooLarge.length === needs.length) {
    const least = formatBytes(Math.min(...needs.map(({ bytes }) => bytes)));
    throw new RequestError(
      'too-little-memory',
      `--memory allows ${formatBytes(memory)}, and a model takes ${least} at least beside ${formatBytes(caches)} of caches (${list})`,
    );
  }
  if (tooLarge.length > 0)
    log.warn({ memory: formatBytes(memory), models: list }, 'some models do not fit into the memory budget');
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
  const scheme = server instanceof TlsServer ? 'https' : 'http';
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
