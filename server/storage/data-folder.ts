import type { Logger } from 'pino';
import { RequestError } from '../contract/errors.js';
import { delay } from './delay.js';
import { FolderLock } from './lock.js';

/** A data folder that this server takes, at once or after another server's lease has expired. */
export interface DataFolder {
  /** Resolves when this server holds the folder; rejects when it cannot, or when `stop` is called first. */
  readonly lock: Promise<FolderLock>;
  /** The server whose lease has to expire first; null when there is none. */
  readonly holder: string | null;
  /** Rejects when another server has taken the folder: it must not be touched any more. */
  readonly lost: Promise<never>;
  /** Stops waiting. */
  readonly stop: () => void;
}

/**
 * Begins to take a folder, which must exist; resolves when this server holds it, or has to wait for a lease.
 * @throws RequestError `folder-in-use` when a process of this machine holds it
 */
export async function takeFolder(data: string, log: Logger): Promise<DataFolder> {
  const stopping = new AbortController();
  let holder: string | null = null;
  let lose: (error: Error) => void = () => {};
  const lost = new Promise<never>((_, reject) => (lose = reject));
  lost.catch(() => undefined); // the caller handles it, and may do so later
  let wait: () => void = () => {};
  const waiting = new Promise<void>((resolve) => (wait = resolve));
  const lock = FolderLock.take(data, {
    wait: delay,
    signal: stopping.signal,
    onWaiting: (by) => {
      holder = by;
      log.warn({ data, holder }, 'waiting for the data folder: its lease has not expired');
      wait();
    },
    onLost: (by) => {
      const message = `${by} has taken the data folder: this server did not renew its lease in time`;
      log.fatal({ data }, message);
      lose(new RequestError('folder-in-use', message));
    },
  });
  await Promise.race([lock, waiting]);
  return { lock, holder, lost, stop: () => stopping.abort() };
}
