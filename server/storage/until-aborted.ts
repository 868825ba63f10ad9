import { setMaxListeners } from 'node:events';

/** A signal that never aborts, for any number of waits. */
export const NEVER: AbortSignal = new AbortController().signal;
setMaxListeners(0, NEVER); // each of them listens

/** Resolves as `pending` does; rejects with the reason of `signal` if that aborts first. */
export function untilAborted<Value>(pending: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    // also where nobody waits any more: a rejection that is not handled would end the process
    pending.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
