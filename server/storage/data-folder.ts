import type { Logger } from 'pino';
import { RequestError } from '../contract/errors.js';
import { delay } from './delay.js';
import { FolderLock } from './lock.js';

/** A server's data folder while it is being taken, and its lock. */
export interface DataFolder {
  /** Resolves when the folder is ours; rejects where it cannot be, or where `stop` was called before. */
  readonly lock: Promise<FolderLock>;
  /** Whose lease has to end first; null where there is none. */
  readonly holder: string | null;
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
  let holder: string | null = null;
  let lose: (error: Error) => void = () => {};
  const lost = new Promise<never>((_, reject) => (lose = reject));
  lost.catch(() => undefined); // who runs the server listens to it
  let wait: () => void = () => {};
  const waiting = new Promise<void>((resolve) => (wait = resolve));
  const lock = FolderLock.take(data, {
    wait: delay,
    signal: stopping.signal,
    onWaiting: (by) => {
      holder = by;
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
  return { lock, holder, lost, stop: () => stopping.abort() };
}
