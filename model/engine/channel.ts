import type { ChildProcess } from 'node:child_process';
import type { MessagePort, Transferable, Worker } from 'node:worker_threads';

/** How the far end of a channel exited. */
export interface Exit {
  /** `SIGKILL` or `exit code 1`; of a failure, its message. */
  readonly status: string;
  /** What failed; null where the far end simply exited. */
  readonly error: Error | null;
}

/** One end of a connection between two threads or two processes. Messages arrive in the order of their posting. */
export interface Channel {
  /**
   * Sends a message; after the far end has exited, does nothing.
   *
   * @param transfer buffers to move instead of copying; between processes everything is copied
   * @throws DataCloneError for what cannot be cloned
   */
  post(message: unknown, transfer?: readonly Transferable[]): void;
  /** @param onExit called once; never on the side that was started, which sees to its own end */
  listen(onMessage: (message: unknown) => void, onExit: (exit: Exit) => void): void;
}

/** The end of the thread that started another. */
export const workerThread = (worker: Worker): Channel => ({
  post: (message, transfer = []) => worker.postMessage(message, [...transfer]),
  listen(onMessage, onExit) {
    const exit = once(onExit);
    worker.on('message', onMessage);
    worker.on('error', (error) => exit(failure(error)));
    worker.on('exit', (code) => exit({ status: `exit code ${code}`, error: null }));
  },
});

/** The end of a thread that was started. */
export const parentThread = (port: MessagePort): Channel => ({
  post: (message, transfer = []) => port.postMessage(message, [...transfer]),
  listen: (onMessage) => void port.on('message', onMessage),
});

/** The end of the process that forked another, with `serialization: 'advanced'`. */
export const childProcess = (child: ChildProcess): Channel => ({
  post: (message) => void child.send(message as object, ignoreLost),
  listen(onMessage, onExit) {
    const exit = once(onExit);
    child.on('message', onMessage);
    child.on('error', (error) => exit(failure(error)));
    child.on('exit', (code, signal) => exit({ status: signal ?? `exit code ${code}`, error: null }));
  },
});

/** The end of a process that was forked. */
export const parentProcess = (): Channel => ({
  post: (message) => void process.send?.(message, undefined, undefined, ignoreLost),
  listen: (onMessage) => void process.on('message', onMessage),
});

const failure = (error: Error): Exit => ({ status: error.message, error });

/** For `send`: a message that no longer arrives is no error, since the exit of the far end is reported. */
const ignoreLost = (): void => undefined;

function once(onExit: (exit: Exit) => void): (exit: Exit) => void {
  let hasExited = false;
  return (exit) => {
    if (!hasExited) onExit(exit);
    hasExited = true;
  };
}
