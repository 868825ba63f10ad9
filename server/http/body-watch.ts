import type { RequestHandler } from 'express';
import type { Logger } from 'pino';
import { RequestError } from '../contract/errors.js';
import { sendProblem } from './problem.js';

export interface BodyLimits {
  /** A body that brings less than its least rate for so long is ended. */
  readonly idleTimeoutMs: number;
  /** Bytes a second. With it every body has a deadline: its length at this rate, and the time-out. */
  readonly minRate: number;
}

/** However fast it comes, a body comes no longer than this. */
const DEADLINE_MS = 24 * 3600_000;
/** How long an answer may take to leave before its connection is cut. */
const ANSWER_MS = 1000;

/**
 * Ends bodies of any kind that come too slowly: they are answered with 408 and their connection is
 * closed, which fails whatever reads them, so that it gives back what it holds.
 */
export function watchBodies({ idleTimeoutMs, minRate }: BodyLimits, log: Logger): RequestHandler {
  const leastBytes = Math.max(1, (minRate * idleTimeoutMs) / 1000);
  return (request, response, next) => {
    next();
    const { socket } = request;
    const length = Number(request.headers['content-length'] ?? 0);
    if (request.complete || (length === 0 && request.headers['transfer-encoding'] === undefined)) return;
    const started = performance.now();
    let read = socket.bytesRead;
    const windows = setInterval(() => {
      // What arrived while this process was busy is read before it is judged.
      setImmediate(() => {
        // A request that was answered before its end is not told when its connection closes.
        if (request.complete || socket.destroyed) return stop();
        const [came, late] = [socket.bytesRead - read, performance.now() - started > DEADLINE_MS];
        read = socket.bytesRead;
        if (came < leastBytes || late) end(came);
      });
    }, idleTimeoutMs).unref();
    const stop = () => clearInterval(windows);
    request.once('close', stop);
    const end = (came: number) => {
      stop();
      const error = new RequestError(
        'stalled',
        `${came} bytes came in ${idleTimeoutMs / 1000} s, and ${Math.ceil(leastBytes)} are the least`,
      );
      log.info({ path: request.path, detail: error.message }, 'a body came too slowly');
      const drop = () => request.destroy(error);
      if (response.headersSent) return drop();
      response.once('finish', drop);
      setTimeout(drop, ANSWER_MS).unref();
      sendProblem(request, response, error);
    };
  };
}
