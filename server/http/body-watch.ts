import type { RequestHandler } from 'express';
import { RequestError } from '../contract/errors.js';
import { sendProblem } from './problem.js';
import type { ProblemReporter } from './problem-reporter.js';

export interface BodyLimits {
  /** The interval over which the rate of a body is measured, in ms. */
  readonly idleTimeoutMs: number;
  /** Bytes per second that a body must reach over each interval. */
  readonly minRate: number;
  /** A body is aborted after this time, whatever its rate, in ms. Default: a day. */
  readonly maxMs?: number;
}

/** A body is aborted after this time, whatever its rate. */
export const MAX_BODY_MS = 24 * 3600_000;
/** How long the response may take to send before the connection is closed. */
const RESPONSE_MS = 1000;

/**
 * Aborts request bodies that are sent too slowly: the response is 408, and their connection is closed. That
 * fails whoever reads the body, who then releases what the request held.
 */
export function watchBodies(
  { idleTimeoutMs, minRate, maxMs = MAX_BODY_MS }: BodyLimits,
  reporter: ProblemReporter,
): RequestHandler {
  const minBytes = Math.max(1, (minRate * idleTimeoutMs) / 1000);
  return (request, response, next) => {
    next();
    const { socket } = request;
    const length = Number(request.headers['content-length'] ?? 0);
    if (request.complete || (length === 0 && request.headers['transfer-encoding'] === undefined)) return;
    const started = performance.now();
    let read = socket.bytesRead;
    const interval = setInterval(() => {
      // Bytes that arrived while this process was busy are read before they are counted.
      setImmediate(() => {
        // A request with an early response emits no 'close' when its connection closes.
        if (request.complete || socket.destroyed) return stop();
        const received = socket.bytesRead - read;
        read = socket.bytesRead;
        if (received < minBytes) {
          abort(
            `${received} bytes of the body arrived in ${idleTimeoutMs / 1000} s; at least ${Math.ceil(minBytes)} are required`,
          );
        } else if (performance.now() - started > maxMs) {
          abort(`the body took longer than ${maxMs / 1000} s`);
        }
      });
    }, idleTimeoutMs).unref();
    const stop = () => clearInterval(interval);
    request.once('close', stop);
    const abort = (detail: string) => {
      stop();
      const error = new RequestError('stalled', detail);
      const drop = () => request.destroy(error);
      if (response.headersSent) {
        reporter.report(error, request);
        return drop();
      }
      response.once('finish', drop);
      setTimeout(drop, RESPONSE_MS).unref();
      sendProblem(request, response, error, reporter);
    };
  };
}
