import type { RequestListener } from 'node:http';
import type { Logger } from 'pino';
import { RequestError } from './errors.js';
import { FolderLock } from './jobs/lock.js';
import { pauseFor } from './jobs/recovery.js';
import { problemOf } from './problems.js';

/** A server's data folder while it is being taken, and its lock. */
export interface DataFolder {
  /** Resolves when the folder is ours; rejects where it cannot be, or where `stop` was called before. */
  readonly lock: Promise<FolderLock>;
  /** Whether another machine's lease has to end first. */
  readonly isWaiting: boolean;
  /** What is answered meanwhile. */
  readonly waitingApp: RequestListener;
  /** Rejects when another server has taken the folder: nothing of it may be touched then. */
  readonly lost: Promise<never>;
  readonly stop: () => void;
}

/**
 * Begins to take a folder, which is there; resolves when it is ours, or when it is known that it has to be waited for.
 * @throws RequestError `folder-in-use` where a process of this machine has it
 */
export async function takeFolder(data: string, log: Logger): Promise<DataFolder> {
  const stopping = new AbortController();
  let holder = '';
  let lose: (error: Error) => void = () => {};
  const lost = new Promise<never>((_, reject) => (lose = reject));
  lost.catch(() => undefined); // who runs the server listens to it
  let isWaiting = false;
  let wait: () => void = () => {};
  const waiting = new Promise<void>((resolve) => (wait = resolve));
  const lock = FolderLock.take(data, {
    wait: pauseFor,
    signal: stopping.signal,
    onWaiting: (by) => {
      holder = by;
      isWaiting = true;
      log.warn({ data, holder }, 'waiting for the data folder: its lease has not ended');
      wait();
    },
    onLost: (by) => {
      const message = `${by} has taken the data folder: this server was silent for too long`;
      log.fatal({ data }, message);
      lose(new RequestError('folder-in-use', message));
    },
  });
  await Promise.race([lock, waiting]);
  return { lock, isWaiting, waitingApp: waitingApp(holder), lost, stop: () => stopping.abort() };
}

function waitingApp(holder: string): RequestListener {
  const detail = `waiting for the data folder: ${holder} had it last`;
  return (request, response) => {
    const [probe, alive] = [request.url === '/readyz', request.url === '/livez'];
    const type = probe || alive ? 'text/plain' : 'application/problem+json';
    response.writeHead(alive ? 200 : 503, { 'Content-Type': type, 'Retry-After': '5', Connection: 'close' });
    const { status, title } = problemOf('folder-in-use');
    const problem = { type: 'urn:unseam:problem:folder-in-use', title, status, detail };
    response.end(alive ? 'ok\n' : probe ? `${detail}\n` : JSON.stringify(problem));
  };
}
