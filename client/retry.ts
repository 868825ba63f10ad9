import { ProblemError } from './problem.js';

/** Delays before retries after network failures, in ms. */
const DELAYS_MS: readonly number[] = [500, 1000, 2000, 4000, 8000];

/** Retries of a sequence of requests: each success starts the delays anew. */
export class Retries {
  #failures = 0;

  /** @param tries in a row, beyond which the error is thrown. Default 5 */
  constructor(private readonly tries = DELAYS_MS.length) {}

  succeed(): void {
    this.#failures = 0;
  }

  /**
   * Waits before the next try, as long as the server says, or longer each time.
   * @throws the error itself if a retry would fail in the same way, or too many have failed
   */
  async wait(error: unknown, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (++this.#failures > this.tries || !isTemporary(error)) throw error;
    const own = DELAYS_MS[Math.min(this.#failures, DELAYS_MS.length) - 1]!;
    const asked = error instanceof ProblemError ? (error.retryAfterMs ?? 0) : 0;
    await delay(Math.max(own, asked), signal);
  }
}

/** Whether a retry may succeed: after a broken connection, or if the server is busy or restarts. */
const isTemporary = (error: unknown): boolean =>
  !(error instanceof ProblemError) || error.retryAfterMs !== null || [408, 502, 504].includes(error.status);

function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      signal?.removeEventListener('abort', abort);
      resolve();
    }
    function abort(): void {
      clearTimeout(timer);
      reject(signal!.reason as Error);
    }
    signal?.addEventListener('abort', abort, { once: true });
  });
}
