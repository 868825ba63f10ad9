import { setMaxListeners } from 'node:events';
import type { Request, RequestHandler, Response } from 'express';
import { RequestError } from '../contract/errors.js';
import { PROBES } from './guard.js';
import { sendProblem } from './problem.js';
import type { ProblemReporter } from './problem-reporter.js';

/**
 * A graceful shutdown: new requests are refused with 503, and requests in flight are finished until their time is up.
 * The server listens meanwhile, so that probes see why it accepts no work.
 */
export class Drain {
  readonly #inFlight = new Map<Response, Request>();
  readonly #ended = new AbortController();
  #empty: () => void = () => undefined;
  #draining = false;

  constructor(private readonly reporter: ProblemReporter) {
    setMaxListeners(0, this.#ended.signal); // one listener per request in flight: more than ten are no leak
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Aborts when the time of the requests in flight is up. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  handler(): RequestHandler {
    return (request, response, next) => {
      if (this.#draining) response.set('Connection', 'close');
      if (PROBES.includes(request.path)) return next();
      if (this.#draining) throw shuttingDown();
      this.#inFlight.set(response, request);
      response.once('close', () => {
        this.#inFlight.delete(response);
        if (this.#inFlight.size === 0) this.#empty();
      });
      next();
    };
  }

  /** Refuses new requests from now on. Connections close after the requests in flight on them. */
  begin(): void {
    this.#draining = true;
    for (const response of this.#inFlight.keys()) response.shouldKeepAlive = false;
  }

  /** Resolves when no request is in flight. */
  finished(): Promise<void> {
    if (this.#inFlight.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#empty = resolve;
    });
  }

  /** Aborts the requests in flight. Those whose body is still being received get their response here, others from their routes. */
  end(): void {
    this.#ended.abort(shuttingDown());
    for (const [response, request] of this.#inFlight)
      if (!request.complete && !response.headersSent)
        sendProblem(request, response, shuttingDown(), this.reporter);
  }
}

const shuttingDown = (): RequestError =>
  new RequestError('draining', 'the server is shutting down: retry later');
